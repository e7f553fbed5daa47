"""What the launchers of tests import in place of ``machine.preload``: the same, and what torch's export loads.

A worker that looks at a network's sizes, or exports it, imports torch's compiler for seconds, every time anew. In the
tests it is there already. Under a cap on instruction sets, and where a GPU is asked for, nothing is exported.
"""

import importlib
import os

import isobatch.models.machine.preload  # noqa: F401 (as a launcher does)

if not {"ATEN_CPU_CAPABILITY", "PYTORCH_NVML_BASED_CUDA_CHECK"} & os.environ.keys():
    for _module in ("torch._dynamo", "torch.onnx._internal.exporter._core", "networkx", "isobatch.models.ort.export"):
        importlib.import_module(_module)

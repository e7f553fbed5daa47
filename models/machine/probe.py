"""What this machine's libraries say and do, asked in a worker. Each answer takes at most seconds."""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

Emit = Callable[[Any], None]


def torch_probe(payload: list[str], emit: Emit) -> dict[str, Any]:
    """What torch says is in effect, its int8 engines, and the values of these environment variables in a worker."""
    torch = importlib.import_module("torch")
    importlib.import_module("isobatch.models.weights.torchvision_compat")
    return {
        "readback": read(),
        "engines": [name for name in torch.backends.quantized.supported_engines if name != "none"],
        "settings": {name: os.environ.get(name) for name in payload},
    }


def engine_saturates(payload: str, emit: Emit) -> bool:
    """Whether this int8 engine's sums clip at 16 bits here. Raises VariantUnavailable where torch lacks the engine."""
    quantized_engine = importlib.import_module("isobatch.models.pytorch.int8.modules").quantized_engine
    sums_saturate = importlib.import_module("isobatch.models.pytorch.kernels").sums_saturate
    with quantized_engine(payload):
        return bool(sums_saturate(payload))


def ort_probe(payload: None, emit: Emit) -> dict[str, Any]:
    """onnxruntime's providers, and which of its integer convolutions clip sums at 16 bits here."""
    ort = importlib.import_module("onnxruntime")
    operators = importlib.import_module("isobatch.models.ort.saturation").saturating_operators()
    return {"providers": ort.get_available_providers(), "saturating": sorted(operators)}


def cuda_probe(payload: None, emit: Emit) -> dict[str, Any]:
    """Whether a CUDA device can be used: {"why", "remedy"} where none can, else its facts under "facts"."""
    cuda = importlib.import_module("isobatch.models.pytorch.device.cuda")
    if missing := cuda.why_not():
        return {"why": missing[0], "remedy": missing[1]}
    return {"facts": cuda.facts()}


def read() -> dict[str, str]:
    """What the libraries in this worker say is in effect, a line for each that is loaded: ISA, threads, versions.

    To be asked after the work, not before it.
    """
    facts: dict[str, str] = {}
    if torch := sys.modules.get("torch"):
        facts["torch"] = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
        facts["torch oneDNN"] = (
            "on" if torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled else "off"
        )
    if compat := sys.modules.get("isobatch.models.weights.torchvision_compat"):
        facts["torchvision"] = "extension not loaded (schemas stubbed)" if compat.STUBBED else "extension loaded"
    if ort := sys.modules.get("onnxruntime"):
        facts["onnxruntime"] = ", ".join(ort.get_available_providers())
    if (openvino := sys.modules.get("openvino")) and hasattr(openvino, "__version__"):
        facts["openvino"] = openvino.__version__
    return facts

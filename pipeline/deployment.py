"""The lines that deploy a choice: the command that writes its artifact, and the Python that serves it."""

from __future__ import annotations

import shlex

FOLDER = "deploy"
ARTIFACTS = {"torch": "network.pt", "onnxruntime": "network.onnx"}
"""The deployable file of each runtime."""

_SERVE = {
    "torch": (
        "import torch",
        "torch.set_num_threads(THREADS)",
        'network = torch.jit.load("{path}").eval()',
        "with torch.inference_mode():",
        "    logits = network(images)  # float32 [n, 3, height, width]",
    ),
    "onnxruntime": (
        "import onnxruntime",
        "options = onnxruntime.SessionOptions()",
        "options.intra_op_num_threads = THREADS",
        'session = onnxruntime.InferenceSession("{path}", options, providers=["CPUExecutionProvider"])',
        "(logits,) = session.run(None, {{session.get_inputs()[0].name: images}})",
    ),
}


def deployment(name: str, runtime: str) -> str:
    """Shell commands, then Python, for a variant or a repaired variant such as ``fp32+surgical``.

    The folder also gets a ``serve.py`` with the settings that the verification record names (threads, engine).
    """
    variant, _, rung = name.partition("+")
    command = ["python", "run.py", "repair", "--variant", variant, *(["--rung", rung] if rung else []), "--out", FOLDER]
    python = "\n".join(_SERVE[runtime]).format(path=f"{FOLDER}/{ARTIFACTS[runtime]}")
    return f"{shlex.join(command)}\npython run.py verify {FOLDER}/record.json\n\n{python}\n"

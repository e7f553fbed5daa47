"""What this machine's libraries say and do, asked in a worker by dotted name. Each answer takes at most seconds."""

import importlib
import os
from collections.abc import Callable
from typing import Any

Emit = Callable[[Any], None]


def torch_probe(payload: list[str], emit: Emit) -> dict[str, Any]:
    """What torch says is in effect, its int8 engines, and the values of these environment variables in a worker."""
    torch = importlib.import_module("torch")
    importlib.import_module("isobatch.models.weights.torchvision_compat")
    return {
        "readback": importlib.import_module("isobatch.models.machine.probe").read(),
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


def isa_probe(payload: dict[str, Any], emit: Emit) -> dict[str, str]:
    """The line of each library of ``isobatch.models.machine.isa_probe``. ``payload``: the number of threads."""
    lines: dict[str, str] = importlib.import_module("isobatch.models.machine.isa_probe").probe(payload["threads"])
    return lines

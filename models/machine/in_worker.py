"""What this machine's libraries say and do, asked in a worker by dotted name. Each answer takes at most seconds."""

import importlib
import os
from collections.abc import Callable
from typing import Any

from isobatch.models.machine.crossing import DeviceSaid, TorchSaid

Emit = Callable[[Any], None]


def torch_probe(payload: list[str], emit: Emit) -> dict[str, Any]:
    """``TorchSaid``, with the values of these environment variables."""
    torch = importlib.import_module("torch")
    importlib.import_module("isobatch.models.weights.torchvision_compat")
    return TorchSaid(
        readback=importlib.import_module("isobatch.models.machine.probe").read(),
        engines=tuple(name for name in torch.backends.quantized.supported_engines if name != "none"),
        settings={name: os.environ.get(name) for name in payload},
    ).to_json()


def engine_saturates(payload: str, emit: Emit) -> bool:
    """Whether this int8 engine's sums clip at 16 bits here. Raises VariantUnavailable where torch lacks the engine."""
    quantized_engine = importlib.import_module("isobatch.models.pytorch.int8.modules").quantized_engine
    sums_saturate = importlib.import_module("isobatch.models.pytorch.kernels").sums_saturate
    with quantized_engine(payload):
        return bool(sums_saturate(payload))


def ort_probe(payload: None, emit: Emit) -> list[str]:
    """Which of onnxruntime's integer convolutions clip sums at 16 bits here."""
    return sorted(importlib.import_module("isobatch.models.ort.saturation").saturating_operators())


def cuda_probe(payload: None, emit: Emit) -> dict[str, Any]:
    """Whether a CUDA device can be used: ``DeviceSaid``."""
    cuda = importlib.import_module("isobatch.models.pytorch.device.cuda")
    if missing := cuda.why_not():
        return DeviceSaid(why=missing[0], remedy=missing[1]).to_json()
    return DeviceSaid(cuda.facts()).to_json()


def isa_probe(payload: int, emit: Emit) -> dict[str, str]:
    """The line of each library of ``isobatch.models.machine.isa_probe``, with so many threads."""
    lines: dict[str, str] = importlib.import_module("isobatch.models.machine.isa_probe").probe(payload)
    return lines

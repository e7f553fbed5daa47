"""What a compiled OpenVINO model says of itself: which layer runs in which type, by which kernel."""

from dataclasses import dataclass
from typing import Any

_WEIGHT_LAYERS = ("Convolution", "FullyConnected", "MatMul", "Deconvolution", "GroupConvolution")
_TYPES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


@dataclass(frozen=True)
class CompiledLayer:
    """One layer with weights. ``computed``: the type of its arithmetic; ``kernel``: its implementation's name."""

    name: str
    kind: str
    computed: str
    kernel: str


def weight_layers(compiled: Any) -> list[CompiledLayer]:
    """The layers that hold weights, as they really run, in execution order."""
    layers = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        about = node.get_rt_info()
        kind = _text(about, "layerType")
        if kind in _WEIGHT_LAYERS:
            precision = _text(about, "runtimePrecision")
            computed = _TYPES.get(precision, precision)
            layers.append(CompiledLayer(node.get_friendly_name(), kind, computed, _text(about, "primitiveType")))
    return layers


def in_effect(compiled: Any) -> dict[str, str]:
    """Precision hint, threads and streams as the compiled model reads them back, and the processor features it uses."""
    names = ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "NUM_STREAMS")
    read = {name: str(compiled.get_property(name)) for name in names}
    requirements = str(compiled.get_property("RUNTIME_REQUIREMENTS"))
    isa = next((part[4:] for part in requirements.split(";") if part.startswith("isa=")), "")
    return read | {"isa": isa}


def _text(about: Any, key: str) -> str:
    return str(about[key].astype(str)) if key in about else ""

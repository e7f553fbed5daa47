"""The one place that opens an OpenVINO model: every option it is given, and nothing hidden in defaults.

And what the compiled model says of itself: which layer runs in which type, by which kernel.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.words import VariantUnavailable

ONNX_FILE, IR_FILE = "model.onnx", "model.xml"
"""The graph's name in an artifact's folder: as exported, or OpenVINO's own form with its weights beside it."""

REMEDY = "make run EXTRAS=openvino, or pip install openvino==2026.4.1 nncf==3.4.0"
_TELEMETRY = "openvino_telemetry"
_WEIGHT_LAYERS = ("Convolution", "FullyConnected", "MatMul", "Deconvolution", "GroupConvolution")
_TYPES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


def library(name: str = "openvino") -> Any:
    """The module of that name, loaded without the telemetry that it brings. Raises VariantUnavailable where missing.

    Both libraries report on their use where that package can be imported, and do without where it cannot.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # "this module cannot be imported"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise VariantUnavailable(f"{name} is not installed ({error})", REMEDY) from error


def graph_file(folder: Path) -> Path:
    """The graph in an artifact's folder."""
    return folder / IR_FILE if (folder / IR_FILE).exists() else folder / ONNX_FILE


def compile_model(model: Path | Any, threads: int, hint: str) -> Any:
    """The compiled model of one stream, with ``threads`` threads and this precision (``f32``, ``bf16``) asked for.

    What is asked for need not be what runs: read it back from the compiled model.
    """
    core = library().Core()
    graph = core.read_model(model) if isinstance(model, Path) else model
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": hint,
    }
    return core.compile_model(graph, "CPU", options)


def names_of(ports: Sequence[Any], images: NDArray[Any]) -> list[str]:
    """The name of each input, in order: of several the one that is among the images' own, as a port may have more."""
    own = images.dtype.names or ()
    return [next((name for name in sorted(port.get_names()) if name in own), port.any_name) for port in ports]


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

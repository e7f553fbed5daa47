"""The one place that opens an OpenVINO model: every option it is given, and nothing hidden in defaults.

And what the compiled model says of itself.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.shared.extras import to_add
from isobatch.models.spec.words import VariantUnavailable

ONNX_FILE, IR_FILE = "model.onnx", "model.xml"
"""The graph's name in an artifact's folder: as exported, or OpenVINO's own form with its weights beside it."""

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
        raise VariantUnavailable(f"{name} is not installed ({error})", to_add("openvino")) from error


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


def computed_in(compiled: Any) -> list[str]:
    """The type of the arithmetic of each layer that holds weights, as they really run, in execution order."""
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    types = [_text(about, "runtimePrecision") for about in facts if _text(about, "layerType") in _WEIGHT_LAYERS]
    return [_TYPES.get(name, name) for name in types]


def _text(about: Any, key: str) -> str:
    return str(about[key].astype(str)) if key in about else ""

"""Opens model.onnx of this folder in onnxruntime. Needs onnxruntime and numpy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
SPINNING = "session.intra_op.allow_spinning"


def turn(options: Any, switches: Mapping[str, Any]) -> None:
    """Set onnxruntime's documented switches among the options of a session."""
    import onnxruntime as ort

    if "deterministic" in switches:
        options.use_deterministic_compute = switches["deterministic"]
    if "level" in switches:
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, switches["level"])
    if "spinning" in switches:
        options.add_session_config_entry(SPINNING, str(int(switches["spinning"])))


def opened(folder: Path, settings: dict[str, Any], threads: int) -> Callable[[Any], Any]:
    """A function from the graph's input [n, ...] to its output [n, ...]: arrays; dicts of them where there are several.

    Of a graph of one input the array alone will do.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if not settings["optimise"]:  # it was optimised for the machine before it was repaired
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3  # it warns that such a graph is for one machine, at every start
    turn(options, settings.get("switches", {}))
    session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0].name
    names = [value.name for value in session.get_outputs()]

    def run(images: NDArray[Any] | dict[str, NDArray[Any]]) -> NDArray[Any] | dict[str, NDArray[Any]]:
        given = images if isinstance(images, dict) else {first: images}
        outputs = [*map(np.array, session.run(None, given))]  # theirs lie in memory that the session handed out
        return outputs[0] if len(names) == 1 else dict(zip(names, outputs, strict=True))

    return run

"""Opens model.onnx of this folder in onnxruntime. Needs onnxruntime and numpy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def opened(folder: Path, settings: dict[str, Any], threads: int) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """A function from float32 images [n, channels, height, width] to the outputs [n, ...] of the graph."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if not settings["optimise"]:  # it was optimised for the machine before it was repaired
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3  # it warns that such a graph is for one machine, at every start
    switches = settings.get("switches", {})
    if "deterministic" in switches:
        options.use_deterministic_compute = switches["deterministic"]
    if "level" in switches:
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, switches["level"])
    if "spinning" in switches:
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(switches["spinning"])))
    session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: NDArray[np.float32]) -> NDArray[Any]:
        (outputs,) = session.run(None, {name: images})
        return np.array(outputs)  # its own array lies in memory that the session handed out

    return run

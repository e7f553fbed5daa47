"""The onnxruntime part of a reproducer: the nodes of one layer, as optimised for the machine, in a file beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from isobatch.models.spec.templates.common import Arrays, Run, load, machine

# -- from here on: part of every script --


def environment() -> dict[str, str]:
    """What decides bits here."""
    return {"onnxruntime": ort.__version__, **machine()}


def start(case: dict[str, Any], folder: Path) -> tuple[Run, Arrays]:
    """A session that optimises nothing: the graph is as onnxruntime had optimised it already."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = case["threads"]
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    model = os.fspath(folder / case["model"])
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(given: Arrays) -> list[Any]:
        feed = {name: given[array] for name, array in case["inputs"].items()}
        return [np.array(value) for value in session.run(case["outputs"], feed)]

    return run, load(case["data"], folder)

"""The one place that opens an onnxruntime session: every option it is given, and nothing hidden in defaults."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnxruntime as ort

from isobatch.models.spec.templates.network_ort import SPINNING, turn

MODEL_FILE = "model.onnx"
"""The graph's name in every artifact folder."""

CPU = "CPUExecutionProvider"
_FATAL = 4
_switched: ContextVar[Mapping[str, Any]] = ContextVar("switched", default=MappingProxyType({}))


@contextmanager
def turned(options: Mapping[str, Any]) -> Iterator[Callable[[Any], dict[str, str]]]:
    """Inside this block deployed sessions open with other options than are shipped, to measure what these do.

    Keys: ``deterministic`` and ``spinning`` (on or off), ``level`` (a name of GraphOptimizationLevel). Gives what reads
    them back of a live runner.
    """
    token = _switched.set(options)
    try:
        yield read_back
    finally:
        _switched.reset(token)


def read_back(runner: Any) -> dict[str, str]:
    """What the live session of an OrtRunner has been opened with, by its own word."""
    options = runner.live_session().get_session_options()
    try:
        spinning = options.get_session_config_entry(SPINNING)
    except RuntimeError:  # not set: the default
        spinning = "1"
    return {
        "deterministic compute": "on" if options.use_deterministic_compute else "off",
        "graph optimisation": options.graph_optimization_level.name,
        "spinning": "on" if spinning == "1" else "off",
        "threads": str(options.intra_op_num_threads),
    }


def open_session(
    model: Path | bytes,
    threads: int,
    *,
    optimise: bool = True,
    save_to: Path | None = None,
    quiet: bool = False,
) -> ort.InferenceSession:
    """A sequential session of this graph with ``threads`` threads inside operators, which spin while they wait.

    Spinning is the default: without it int8 ResNet50 lost a third of its speed at N = 1 on two idle cores.

    ``optimise``: all of onnxruntime's graph optimisations, as deployed, or none. ``save_to`` also writes the graph as
    optimised for this machine (and onnxruntime warns that it is for this machine only: use it with ``quiet``).
    ``quiet``: no log lines; errors still raise, with the same text.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    if optimise:
        turn(options, _switched.get())
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    if quiet:
        options.log_severity_level = _FATAL
    return ort.InferenceSession(os.fspath(model) if isinstance(model, Path) else model, options, providers=[CPU])


def ort_words(error: Exception | str) -> str:
    """What onnxruntime raised, without its inner codes."""
    text = " ".join(str(error).split())
    if "alloc" in text.lower():
        return "it asks for more memory than there is for this call"
    if where := re.search(r"running (\w+) node\. Name:'([^']*)'", text):
        return f"its {where[1]} node{f' {where[2]!r}' if where[2] else ''} fails"
    if other := re.search(r"invalid dimensions for input: (.+?) for .*? index: (\d+) Got: (\d+) Expected: (\d+)", text):
        return f"its input {other[1]!r} takes {other[4]} on axis {other[2]}, and got {other[3]}"
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from \S+ failed: ?", "", text)
    text = re.sub(r"Exception during initialization: \S+:\d+ .*? was false\. | If you need support .*", "", text)
    return text.replace(" with name ''", "")[:300]

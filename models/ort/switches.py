"""onnxruntime's documented session switches: turned for every session that is opened meanwhile, and read back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from isobatch.models.ort.session import SPINNING, session_switches


@contextmanager
def turned(options: dict[str, Any]) -> Iterator[Callable[[Any], dict[str, str]]]:
    """Inside this block deployed sessions open as asked; see ``session_switches``. Gives the read-back of a runner."""
    with session_switches(options):
        yield read_back


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

"""Isobatch: which precision to deploy when the same image must give the same answer alone and in a batch.

Four names for your own code; importing this loads no runtime until one of them is used:

* ``compare(network, inputs)``: singles against batches, byte by byte.
* ``make_batch_invariant(network, inputs)``: the network repaired, and the record of how that was verified.
* ``assert_batch_invariant(network, inputs)``: for your own test suite.
* ``load(run)``: a finished study.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_RUN, _COMMAND, _MODULE = "python run.py", "isobatch", "python -m isobatch"
STARTED_AS = "_ISOBATCH_STARTED_AS"
"""The variable by which a worker learns how its parent was started."""


def _program() -> str:
    """How this process was started; a worker: its parent; any other: what starts it from here."""
    script = Path(__file__).resolve().parent.with_name("run.py")
    first = (sys.argv or [""])[0]
    if first == "-m" and ("-m", "isobatch") in pairwise(sys.orig_argv):  # while the module is sought
        return _MODULE
    if Path(first).name == _COMMAND:
        return _COMMAND
    if Path(first).name == script.name and Path(first).resolve() == script:
        return _RUN
    if (told := os.environ.get(STARTED_AS)) in (_RUN, _COMMAND, _MODULE):
        return told
    return _RUN if script.is_file() else _COMMAND


PROGRAM = _program()
"""What the user types to start this, as he did: the checkout's ``run.py``, the installed command, or the module."""

__all__ = ["assert_batch_invariant", "compare", "load", "make_batch_invariant"]

if TYPE_CHECKING:
    from isobatch.pipeline.api import compare_batch_invariance as compare
    from isobatch.pipeline.api import make_batch_invariant
    from isobatch.pipeline.testing import assert_batch_invariant
    from isobatch.reports.finished import load

_HOMES = {
    "compare": ("isobatch.pipeline.api", "compare_batch_invariance"),
    "make_batch_invariant": ("isobatch.pipeline.api", "make_batch_invariant"),
    "assert_batch_invariant": ("isobatch.pipeline.testing", "assert_batch_invariant"),
    "load": ("isobatch.reports.finished", "load"),
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: the command line starts without what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has {', '.join(__all__)}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)

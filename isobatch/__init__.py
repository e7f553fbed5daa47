"""Isobatch: which precision to deploy when the same image must give the same answer alone and in a batch.

Four names for your own code; importing this loads no runtime until one of them is used:

* ``compare(network, inputs)``: singles against batches, byte by byte.
* ``make_batch_invariant(network, inputs)``: the network repaired, and the record of how that was verified.
* ``assert_batch_invariant(network, inputs)``: for your own test suite.
* ``load(run)``: a finished study.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
PROGRAM = "python run.py" if Path(__file__).resolve().parent.with_name("run.py").is_file() else "isobatch"
"""What a user types to start this: in a checkout its ``run.py``, else the installed command."""

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

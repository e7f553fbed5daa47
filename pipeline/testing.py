"""For users' own test suites: ``assert_batch_invariant``."""

from collections.abc import Iterable
from typing import Any

from isobatch.pipeline.api import compared_with_origin, within


def assert_batch_invariant(
    network: Any, inputs: Any, batch_sizes: Iterable[int] | None = None, *, relative_tolerance: float = 0.0
) -> None:
    """Fail unless every example's output is, byte by byte, the one it gives alone, for N = 2 to their number.

    Arguments as of ``pipeline.compare_batch_invariance``. ``relative_tolerance``: a difference to let pass, over the
    largest |output|; 0 means bit-exact. AssertionError names N, how many examples differ, by how much, and the layer
    where the difference starts; or that the network is not repeatable, or gives NaN or the same row for all.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    result, start = compared_with_origin(network, inputs, batch_sizes, relative_tolerance)
    if result.batch_invariant or (result.verdict == "batch-variant" and within(result, relative_tolerance)):
        return
    if result.verdict != "batch-variant":
        raise AssertionError(str(result))
    where = f"it starts in {start}" if start else start.why
    raise AssertionError(f"{result}; {where}")

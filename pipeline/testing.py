"""For users' own test suites: ``assert_batch_invariant``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isobatch.pipeline.api import compare_batch_invariance, first_origin


def assert_batch_invariant(
    network: Any, images: Any, batch_sizes: Iterable[int] | None = None, *, relative_tolerance: float = 0.0
) -> None:
    """Fail unless every image's output is, byte by byte, the one it gives alone, for N = 2 to the number of images.

    Arguments as of ``pipeline.compare_batch_invariance``. ``relative_tolerance``: a difference to let pass, over the
    largest |output|; 0 means bit-exact. AssertionError names N, how many images differ, by how much, and the first
    layer where the difference starts.
    """
    scope = None if batch_sizes is None else tuple(batch_sizes)
    found = compare_batch_invariance(network, images, scope)
    if relative_tolerance > 0:
        if all(one.max_abs_relative <= relative_tolerance for one in found.batch_sizes):  # NaN is not
            return
    elif found.batch_invariant:
        return
    origin = first_origin(network, images, scope)
    where = f"it starts in {origin}" if origin else "no layer replayed alone shows where it starts"
    raise AssertionError(f"{found}; {where}")

"""The control for a network that itself mixes examples: the neighbours change, N and the place do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import LARGER, OUTLIER_FACTOR, REPLACEMENTS, beside, scaled

Rows = NDArray[Any]
Run = Callable[[Rows], Iterable[Rows]]
"""From a batch to the network's outputs, [n, ...] each."""


def mixes(run: Run, rows: Rows, n: int) -> int | None:
    """The N at which another neighbour changes the bytes of an example's row, so that N is no matter; None for none.

    Tried at ``n`` and at the next N. The last of the batch is replaced, and the first: what reads a batch in order may
    look one way only.
    """
    for size in sorted({n, min(n + 1, len(rows))}):
        batch = rows[:size].copy()
        for turned in (False, True):
            plain = _kept(run, batch, turned)
            if any(_kept(run, other, turned) != plain for other in _others(batch, turned)):
                return size
    return None


def _others(batch: Rows, turned: bool) -> Iterator[Rows]:
    """The batch with its last example replaced, or its first."""
    given = batch[::-1] if turned else batch
    for replacement in (*REPLACEMENTS.values(), scaled(LARGER), scaled(-OUTLIER_FACTOR)):
        made = beside(given, replacement)
        yield (made[::-1] if turned else made).copy()
    yield np.concatenate([batch[-1:], batch[1:]] if turned else [batch[:-1], batch[:1]])


def _kept(run: Run, batch: Rows, turned: bool) -> list[tuple[Any, ...]]:
    """The rows of the examples that are kept, all but the last, or the first: shape, type and bytes of each output."""
    part = slice(1, None) if turned else slice(0, len(batch) - 1)
    kept = [values[part] for values in run(batch)]
    return [(one.shape, one.dtype, one.tobytes()) for one in kept]

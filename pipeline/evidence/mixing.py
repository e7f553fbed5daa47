"""The control for a network that itself mixes examples: the neighbours change, N and the place do not."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import LARGER, OUTLIER_FACTOR, REPLACEMENTS, beside, scaled

Rows = NDArray[Any]
Run = Callable[[Rows], Iterable[Rows]]
"""From a batch to the network's outputs, [n, ...] each."""

_LOOKED = 8  # examples among which the one is chosen that differs most


def mixes(run: Run, rows: Rows, n: int) -> int | None:
    """The N at which another neighbour changes the bytes of an example's row, so that N is no matter; None for none.

    Tried at ``n`` and at the next N, beside the example that differs most from its row alone. A neighbour that stands
    behind it is replaced, and one before it: what reads a batch in order may look one way only.
    """
    victim = _most_apart(run, rows[:_LOOKED], n)
    rows = rows[[victim, *(i for i in range(len(rows)) if i != victim)]]
    for size in sorted({n, min(n + 1, len(rows))}):
        for turned in (False, True):
            plain = _kept(run, rows[:size].copy(), turned)
            if any(_kept(run, other, turned) != plain for other in _others(rows[:size])):
                return size
    return None


def _most_apart(run: Run, rows: Rows, n: int) -> int:
    """The example whose row in a batch of n is farthest from its row alone; the first of equals."""
    apart = np.zeros(len(rows))
    for start in range(0, len(rows) - n + 1, n):
        together = [_values(part) for part in run(rows[start : start + n].copy())]
        for i in range(start, min(start + n, len(rows))):
            alone = [_values(part) for part in run(rows[i : i + 1].copy())]
            pairs = [(a[0], many[i - start]) for a, many in zip(alone, together, strict=True) if len(many) == n]
            with np.errstate(invalid="ignore"):
                far = [np.inf if a.shape != two.shape else np.abs(a - two).max(initial=0) for a, two in pairs]
            apart[i] = np.nan_to_num(np.array([*far, 0.0]), nan=np.inf).max()
    return int(apart.argmax())


def _values(part: Rows) -> Rows:
    return np.array(part, np.complex128 if part.dtype.kind == "c" else np.float64)


def _others(batch: Rows) -> Iterator[Rows]:
    """The batch with its last example replaced."""
    for replacement in (*REPLACEMENTS.values(), scaled(LARGER), scaled(-OUTLIER_FACTOR)):
        yield beside(batch, replacement)
    yield np.concatenate([batch[:-1], batch[:1]])


def _kept(run: Run, batch: Rows, turned: bool) -> list[tuple[Any, ...]]:
    """The rows of all examples but the last: shape, type and bytes of each output. ``turned``: the batch is run so."""
    count = len(batch) - 1
    kept = [values[1:] if turned else values[:count] for values in run(batch[::-1].copy() if turned else batch)]
    return [(array.shape, array.dtype, array.tobytes()) for array in kept]

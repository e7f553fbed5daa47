"""The control for what itself mixes examples, a network or a layer: the neighbours change, N and the place do not."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.neighbours import LARGER, OUTLIER_FACTOR, REPLACEMENTS, beside, scaled
from isobatch.pipeline.evidence.rows import absolute_difference, each, reals, row_count, rows_at, same_bits, with_row

Batch = NDArray[Any]
RunBatch = Callable[[Batch], Iterable[NDArray[Any]]]
"""From a batch to the network's outputs, [n, ...] each."""

Replay = Callable[[Rows], Rows]
"""From the inputs of a layer, or of a whole network, to its outputs."""

_LOOKED = 8  # examples among which the one is chosen that differs most


def mixes(run: RunBatch, rows: Batch, n: int) -> int | None:
    """The N at which another neighbour changes the bytes of an example's row, so that N is no matter; None for none.

    Tried at ``n`` and at the next N, beside the example that differs most from its row alone. A neighbour that stands
    behind it is replaced, and one before it: what reads a batch in order may look one way only.
    """
    victim = most_apart(run, rows[:_LOOKED], n)
    rows = rows[[victim, *(i for i in range(len(rows)) if i != victim)]]
    for size in sorted({n, min(n + 1, len(rows))}):
        for turned in (False, True):
            plain = _kept(run, rows[:size].copy(), turned)
            if any(_kept(run, other, turned) != plain for other in _others(rows[:size])):
                return size
    return None


def most_apart(run: RunBatch, rows: Batch, n: int) -> int:
    """The example whose row in a batch of n is farthest from its row alone; the first of equals."""
    apart = np.zeros(len(rows))
    for start in range(0, len(rows) - n + 1, n):
        together = [reals(part) for part in run(rows[start : start + n].copy())]
        for i in range(start, start + n):
            alone = (reals(part)[:1] for part in run(rows[i : i + 1].copy()))
            pairs = [(a, many[[i - start]]) for a, many in zip(alone, together, strict=True) if len(many) == n]
            far = [np.inf if a.shape != b.shape else absolute_difference(a, b).max(initial=0) for a, b in pairs]
            apart[i] = np.nan_to_num(np.array([*far, 0.0]), nan=np.inf).max()
    return int(apart.argmax())


def moved_by_neighbours(replay: Replay, inputs: Rows, victim: int = 0) -> int:
    """Elements of the first, last or this row that change, at one N and in place, when the rows beside it do.

    The quick form of ``mixes``. The others come in the opposite order and as outliers; what is no float becomes a copy
    of the row, as another order moves neither the largest of all rows nor their sum.
    """
    plain = replay(inputs)

    def moved(at: int) -> int:
        def others(part: NDArray[Any]) -> NDArray[Any]:
            if part.dtype.kind != "f":
                return np.broadcast_to(part[at], part.shape)
            outliers: NDArray[Any] = part[::-1] * part.dtype.type(OUTLIER_FACTOR)
            return outliers

        return _moved(plain, replay(with_row(each(inputs, others), inputs, at)), at)

    places = {0, -1, victim} - {row_count(inputs) - 1}  # which is the last
    with np.errstate(over="ignore"):
        return max(map(moved, sorted(places)))


def unsteady(replay: Replay, inputs: Rows) -> int:
    """Output elements in which the same call gives other bytes again, right away or after a call with other rows."""
    first, again = replay(inputs), replay(inputs)
    replay(rows_at(inputs, np.roll(np.arange(row_count(inputs)), 1)))
    pairs = zip((*first, *first), (*again, *replay(inputs)), strict=True)
    return max(int((~same_bits(np.atleast_1d(a), np.atleast_1d(b))).sum()) for a, b in pairs)


def _moved(plain: Rows, changed: Rows, at: int) -> int:
    """Elements of the row at this place whose bytes differ; some give fewer rows than they take."""
    moved = 0
    for own, other in ((np.atleast_1d(a), np.atleast_1d(b)) for a, b in zip(plain, changed, strict=True)):
        if own.shape != other.shape:
            return own.size
        if -len(own) <= at < len(own):
            moved += int((~same_bits(own[[at]], other[[at]])).sum())
    return moved


def _others(batch: Batch) -> Iterator[Batch]:
    """The batch with its last example replaced."""
    for replacement in (*REPLACEMENTS.values(), scaled(LARGER), scaled(-OUTLIER_FACTOR)):
        yield beside(batch, replacement)
    yield np.concatenate([batch[:-1], batch[:1]])


def _kept(run: RunBatch, batch: Batch, turned: bool) -> list[tuple[Any, ...]]:
    """The rows of all examples but the last: shape, type and bytes of each output. ``turned``: the batch is run so."""
    count = len(batch) - 1
    kept = [values[1:] if turned else values[:count] for values in run(batch[::-1].copy() if turned else batch)]
    return [(array.shape, array.dtype, array.tobytes()) for array in kept]

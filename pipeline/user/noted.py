"""The batches in which an example's row is looked at, and what is noted of them: how many rows and elements differ, how
far, and which answers change.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.batch_classes import classes_of
from isobatch.pipeline.evidence.neighbours import LARGER, OUTLIER_FACTOR, beside, scaled
from isobatch.pipeline.evidence.rows import largest_value, row_digests, row_distance, same_bits, top1
from isobatch.pipeline.user.results import NATURAL, BatchSize

Rows = NDArray[Any]
Leaves = Mapping[str, Rows]


def batches(rows: Rows, n: int, probes: int) -> Iterator[tuple[str, list[int | None], Rows]]:
    """(surroundings, the example of each row or None for one that is not looked at, the batch).

    Every example is run, none twice in a batch: a last batch that the others leave incomplete begins earlier.
    ``probes``: 0 for no other surroundings, 1 for one of each kind, 2 for more.
    """
    starts = [*range(0, len(rows) - n + 1, n)]
    if len(rows) % n:
        starts.append(len(rows) - n)
    for start in starts:
        yield NATURAL, [*range(start, start + n)], rows[start : start + n].copy()
    if not probes:
        return
    first, last = [*range(n)], [*range(len(rows) - n, len(rows))]
    for by in sorted({n // 2, 1} if probes > 1 else {n // 2}):
        turned = [*np.roll(first, by)]
        yield "in another place of the batch", [int(i) for i in turned], rows[turned].copy()
    for factor in (OUTLIER_FACTOR, LARGER)[:probes]:
        outlier = scaled(factor)
        yield "beside an outlier", [*last[:-1], None], beside(rows[last], outlier)
        if probes > 1:
            yield "beside an outlier", [None, *first[:-1][::-1]], beside(rows[first], outlier)[::-1].copy()
    same = [n % len(rows)] * n
    yield "among copies of itself", list(same), rows[same].copy()


@dataclass
class Seen:
    """What one N showed. Images are examples by number."""

    images: set[int] = field(default_factory=set)
    differing: set[int] = field(default_factory=set)  # images
    flipped: set[int] | None = None  # images; None: no output is an answer
    size: tuple[float, float, str] = (0.0, 0.0, "")  # (|difference|, of the largest output, place)
    elements: tuple[int, int] = (0, 0)  # (that differ, compared)
    digests: dict[int, bytes] = field(default_factory=dict)  # of each example's row among the others
    probed: bool = False  # other surroundings were tried too
    seen: dict[str, None] = field(default_factory=dict)


def classes_over(singles: Leaves, seen: Mapping[int, Seen]) -> tuple[tuple[int, ...], ...]:
    """The N whose rows are equal, byte for byte, each image among the others; N = 1 with them."""
    count = len(next(iter(singles.values())))
    digests = {1: row_digests([*singles.values()], count)}
    digests |= {n: np.array([seen_here.digests[i] for i in range(count)]) for n, seen_here in seen.items()}
    return tuple(tuple(same) for same in classes_of(digests))


def note(
    seen: Seen, name: str, what: str, singles: Rows, values: Rows, places: Sequence[int], alone: Sequence[int]
) -> None:
    """Note one output's rows: those of ``values`` at ``places`` against the singles of the examples ``alone``."""
    if (values.shape[1:], values.dtype) != (singles.shape[1:], singles.dtype) or len(values) <= max(places):
        seen.differing.update(alone)
        seen.size = (math.nan, math.nan, name)
        seen.elements = (seen.elements[0] + values.size, seen.elements[1] + values.size)
        seen.seen[what] = None
        return
    mine, other = flat(singles[list(alone)]), flat(values[list(places)])
    same = same_bits(mine, other)
    seen.elements = (seen.elements[0] + int((~same).sum()), seen.elements[1] + same.size)
    if singles.ndim == 2 and singles.shape[1] > 1 and singles.dtype.kind in "fV":
        flips = np.compress(top1(mine) != top1(other), alone)
        seen.flipped = (seen.flipped or set()).union(flips.tolist())
    if same.all():
        return
    seen.differing.update(np.compress(~same.all(axis=1), alone).tolist())
    seen.seen[what] = None
    largest, scale = float(row_distance(mine, other).max()), largest_value(flat(singles))
    share = largest / scale if scale else (math.inf if largest else 0.0)
    if math.isnan(largest) or share >= seen.size[1]:
        seen.size = (largest, share, name)


def batch_size(n: int, seen: Seen) -> BatchSize:
    """The record of what one N showed."""
    order = sorted(seen.seen, key=lambda what: what != NATURAL)
    flips = None if seen.flipped is None else len(seen.flipped)
    equal = len(seen.images - seen.differing)
    return BatchSize(n, len(seen.images), equal, *seen.size, tuple(order), *seen.elements, flips)


def flat(values: Rows) -> Rows:
    """The rows [n, values] of one output; a complex number is its two parts."""
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    return rows.view(rows.real.dtype) if rows.dtype.kind == "c" else rows

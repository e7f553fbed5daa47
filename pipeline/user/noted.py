"""What is noted of the batches of one N: how many rows and elements differ, how far, and which answers change."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.batch_classes import classes_of
from isobatch.pipeline.evidence.rows import row_digests
from isobatch.pipeline.user.results import NATURAL, BatchSize

Rows = NDArray[Any]
Leaves = Mapping[str, Rows]


@dataclass
class Seen:
    """What one N showed. ``differing``, ``flipped``: examples by number. ``elements``: (that differ, compared).

    ``size``: (|difference|, of the largest output, place). ``digests``: of each example's row among the others.
    ``probed``: other surroundings were tried too.
    """

    images: set[int] = field(default_factory=set)
    differing: set[int] = field(default_factory=set)
    flipped: set[int] | None = None  # None: no output is an answer
    size: tuple[float, float, str] = (0.0, 0.0, "")
    elements: tuple[int, int] = (0, 0)
    digests: dict[int, bytes] = field(default_factory=dict)
    probed: bool = False
    seen: dict[str, None] = field(default_factory=dict)


def classes_over(singles: Leaves, seen: Mapping[int, Seen]) -> tuple[tuple[int, ...], ...]:
    """The N whose rows are equal, byte for byte, each image among the others; N = 1 with them."""
    count = len(next(iter(singles.values())))
    alone = row_digests([*singles.values()], count)
    digests = {1: alone}
    for n, seen_here in seen.items():
        digests[n] = np.zeros(count, alone.dtype)
        for i, digest in seen_here.digests.items():
            digests[n][i] = digest
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
    mine, other = singles[list(alone)], values[list(places)]
    apart = (bytes_of(mine) != bytes_of(other)).reshape(mine.size, mine.dtype.itemsize).any(axis=1)
    seen.elements = (seen.elements[0] + int(apart.sum()), seen.elements[1] + mine.size)
    answers = [_answers(part) for part in (mine, other)]
    if answers[0] is not None:
        changed = np.asarray(answers[0] != answers[1])
        seen.flipped = (seen.flipped or set()) | {i for i, flips in zip(alone, changed, strict=True) if flips}
    if not apart.any():
        return
    differing = apart.reshape(len(mine), -1).any(axis=1)
    seen.differing.update(i for i, differs in zip(alone, differing, strict=True) if differs)
    seen.seen[what] = None
    left, two = (
        part[differing].astype(np.complex128 if part.dtype.kind == "c" else np.float64) for part in (mine, other)
    )
    with np.errstate(invalid="ignore"):
        largest = float(np.abs(left - two).max(initial=0.0))
    scale = float(np.abs(singles.astype(left.dtype)).max(initial=0.0))
    share = largest / scale if scale else (math.inf if largest else 0.0)
    if math.isnan(largest) or share >= seen.size[1]:
        seen.size = (largest, share, name)


def _answers(values: Rows) -> NDArray[Any] | None:
    """The place of the largest value in each row of [n, k]; None where that is no answer."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "fV":
        return None
    places: NDArray[Any] = (values if values.dtype.kind == "f" else values.astype(np.float32)).argmax(axis=1)
    return places


def batch_size(n: int, seen: Seen) -> BatchSize:
    """The record of what one N showed."""
    order = sorted(seen.seen, key=lambda what: what != NATURAL)
    flips = None if seen.flipped is None else len(seen.flipped)
    equal = len(seen.images - seen.differing)
    return BatchSize(n, len(seen.images), equal, *seen.size, tuple(order), *seen.elements, flips)


def bytes_of(values: Rows) -> NDArray[np.uint8]:
    """The bytes of each row, [n, bytes]."""
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    return rows.view(np.uint8).reshape(len(values), -1)

"""One image's row at a fixed N and position, as a function of what stands beside it; the worst found by search."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.rows import absolute_difference, each, largest_value, same_bits, with_row
from isobatch.pipeline.explain.causes import Subject
from isobatch.pipeline.explain.locate import random_rows
from isobatch.pipeline.records.wording import number

FACTORS = (4, 64, 1024)
Another = Callable[[NDArray[Any], NDArray[Any]], bool]
"""Of the row alone and the row beside something, whether the answer is another one."""
_STEPS = 12  # of the search for the worst neighbours
_CHANGED_SHARE = 0.25  # of a neighbour's elements, in one step of the search


@dataclass(frozen=True)
class Beside:
    """The victim's row beside these neighbours."""

    what: str
    change: float  # its largest |difference| from its row alone, float64
    differing: int  # elements whose bytes are not those beside the natural neighbours
    top_moved: bool  # whether the answer in it is another one than alone
    rows: Rows  # of the whole call, the victim's own among them


@dataclass(frozen=True)
class Influence:
    """What stood beside the victim, one image of a batch, and what that did to its row."""

    victim: int  # its place in the batch
    batch: int  # images
    tried: int
    largest: float  # |value| of the victim's row alone
    seen: tuple[Beside, ...]  # the worst last

    @property
    def moves(self) -> bool:
        """Whether some neighbours changed a bit of the victim's row."""
        return any(neighbour.differing for neighbour in self.seen)

    @property
    def worst(self) -> Beside:
        """What changed the victim most."""
        return max(self.seen, key=lambda neighbour: neighbour.change)

    def text(self) -> str:
        """The change by what stands beside, and the worst of all that was tried, as an example."""
        named = ", ".join(f"{neighbour.what} {number(neighbour.change)}" for neighbour in self.seen[:-1])
        share = f" ({self.worst.change / self.largest:.2g} of its largest value)" if self.largest else ""
        return (
            f"Largest change of image {self.victim}'s row, at N = {self.batch} and its own place, against its row "
            f"alone, by what stands beside it: {named}. The worst of {self.tried} tried: {self.worst.what}, by "
            f"{number(self.worst.change)}{share}."
        )


def influence(subject: Subject, another: Another = lambda own, row: bool(row.argmax() != own.argmax())) -> Influence:
    """The row of the image that differs most, beside natural, equal, random and outlying neighbours."""
    victim = most_differing(subject)
    rows = subject.rows(0, subject.batch)
    draws = np.random.Generator(np.random.PCG64(subject.seed))
    own, natural = subject.alone[victim], subject.together[victim]

    def beside(what: str, neighbours: Rows) -> Beside:
        call = with_row(neighbours, rows, victim)
        row = subject.replay(call)[victim]
        apart = absolute_difference(np.atleast_1d(own), np.atleast_1d(row))
        change = float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
        return Beside(what, change, int((~same_bits(natural, row)).sum()), another(own, row), call)

    kinds = {
        "zeros": each(rows, np.zeros_like),
        "copies of itself": each(rows, lambda part: np.repeat(part[victim : victim + 1], len(part), axis=0)),
        "random values": random_rows(rows, draws),
    }
    outliers = {f"its neighbours times {factor}": each(rows, partial(_times, factor=factor)) for factor in FACTORS}
    seen = [beside("its neighbours", rows), *(beside(what, made) for what, made in (kinds | outliers).items())]
    worst = _search(rows, draws, seen[0], beside)
    return Influence(victim, subject.batch, len(seen) + _STEPS, largest_value(own), (*seen, worst or seen[-1]))


def most_differing(subject: Subject) -> int:
    """The image whose row has most differing elements."""
    return int(subject.differing.reshape(subject.batch, -1).sum(axis=1).argmax())


def _of_sizes(part: NDArray[np.generic]) -> bool:
    """Whether the values are sizes: floats, or codes of 8 bits. Wider integers may be rows of a table."""
    return part.dtype.kind in "fV" or part.dtype in (np.int8, np.uint8)


def _times(part: NDArray[np.generic], factor: float, limit: float = np.inf) -> NDArray[np.generic]:
    if not _of_sizes(part):
        return part
    values = np.clip(part.astype(np.float64) * factor, -limit, limit)
    if np.issubdtype(part.dtype, np.integer):
        limits = np.iinfo(part.dtype)  # type: ignore[type-var]
        values = np.clip(values, limits.min, limits.max)
    with np.errstate(over="ignore"):
        return np.asarray(values.astype(part.dtype))


def _search(
    rows: Rows, draws: np.random.Generator, natural: Beside, beside: Callable[[str, Rows], Beside]
) -> Beside | None:
    """Climb from the natural neighbours: keep a random change of a part of their elements if the victim moves more.

    Sizes are multiplied; what is no size takes the value of another row. None where it never moves more.
    """
    current, best = rows, natural
    limit = FACTORS[-1] * _largest(rows)
    for step in range(_STEPS):
        factor = float(2.0 ** draws.uniform(-2, 10)) * (1 if step % 2 else -1)

        def changed(part: NDArray[np.generic], by: float = factor) -> NDArray[np.generic]:
            mask = draws.random(part.shape) < _CHANGED_SHARE
            other = _times(part, by, limit) if _of_sizes(part) else draws.permuted(part, axis=0)
            return np.where(mask, other, part)

        candidate = each(current, changed)
        sizes = f", with values up to {number(_largest(candidate))}" if any(map(_of_sizes, candidate)) else ""
        tried = beside(f"neighbours found by a search{sizes}", candidate)
        if tried.change > best.change:
            current, best = candidate, tried
    return None if best is natural else best


def _largest(rows: Rows) -> float:
    """The largest |value| of all tensors that hold sizes, float64."""
    sizes = (part for part in rows if _of_sizes(part))
    return max((float(np.abs(part.astype(np.float64)).max(initial=0.0)) for part in sizes), default=0.0)

"""Singles against batches of each N, output by output, and what must hold before that means anything."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from isobatch.models.registry import load
from isobatch.models.spec.batches import parts_of
from isobatch.pipeline.evidence.rows import all_alike, non_finite_rows, row_digests
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.user.noted import Leaves, Rows, Seen, batch_size, batches, classes_over, flat, note
from isobatch.pipeline.user.results import NATURAL, BatchInvariance, Tested

_REPEAT = "the same call on the same examples gives other bytes the second time"
_CAUSES = "dropout, a random number, a counter, or something kept from earlier calls"
_EQUAL = "every example gives the same output row, which proves nothing: give the network real weights"
_WHOLE = (
    "every example gives the same output row of whole numbers, which proves nothing: give examples with other answers, "
    "or compare what it is taken from (the scores before an ArgMax)"
)
_EMPTY = "its outputs hold no values, which proves nothing: let it give what is to be compared"
_ONE = "all examples are the same, which proves nothing: give different ones"


class ComparedNetwork(Protocol):
    """What a network is asked here."""

    threads: int

    def fitted(self, rows: Rows) -> Rows:
        """The examples as the network takes them: TypeError where it does not."""

    def learn(self, pair: Rows) -> None:
        """Find out on two examples what can be compared."""

    def leaves(self, rows: Rows) -> Leaves:
        """The outputs by their places, [n, ...] each."""


class Compared(NamedTuple):
    """The result, and the rows of every example alone."""

    result: BatchInvariance
    singles: Leaves


def compared(
    runner: ComparedNetwork,
    rows: Rows,
    scope: Sequence[int],
    *,
    stop_at_first: bool = False,
    sparing: bool = False,
    deadline: float = math.inf,
    say: Callable[[str], None] = lambda text: None,
) -> Compared:
    """The verdict over these N; ``stop_at_first``: no further N once a row differs; ``sparing``: at an N whose rows
    differ among the others, no other surroundings.

    First the same calls twice, with other calls between, and once more at the end. N that would begin after
    ``deadline`` (of ``time.monotonic``) are named as not tried, and the claim is made of the others. Raises TypeError
    for a network whose outputs cannot be compared.
    """
    runner.learn(rows[:2])
    inputs = load("isobatch.models.user_inputs:described")(rows)
    largest = max(scope)
    first = rows[:1].copy(), rows[:largest].copy()
    before = [{place: values.copy() for place, values in runner.leaves(batch).items()} for batch in first]
    singles: Leaves = {}

    def result(verdict: Any, seen: Mapping[int, Seen], reason: str = "") -> BatchInvariance:
        sizes = tuple(batch_size(n, seen[n]) for n in sorted(seen))
        left = () if verdict == "batch-variant" and stop_at_first else tuple(n for n in scope if n not in seen)
        probed = tuple(n for n in sorted(seen) if seen[n].probed)
        tested = Tested(inputs, len(rows), runner.threads, tuple(sorted(seen)), probed, left if not reason else ())
        apart = classes_over(singles, seen) if verdict == "batch-variant" else ()
        return BatchInvariance(verdict, sizes, tested, reason, tuple(before[0]), apart)

    if not _repeats(runner, first, before, rows):
        return Compared(result("not-repeatable", {}, f"{_REPEAT}, so no difference means anything ({_CAUSES})"), {})
    say("every example alone")
    singles = _all_alone(runner, rows)
    if reason := _not_finite(singles, rows):
        return Compared(result("invalid", {}, reason), singles)
    seen: dict[int, Seen] = {}
    probed = {n for n in scope if n & (n - 1) == 0} | {largest}
    for n in [*sorted(probed), *(n for n in scope if n not in probed)]:  # those that are probed show most
        if seen and time.monotonic() > deadline:
            break
        say(f"batches of {n}")
        probes = 0 if n not in probed else 2 if n == largest else 1
        seen[n] = _at(runner, rows, n, singles, probes, sparing)
        if stop_at_first and seen[n].differing:
            break
    if not all(same_rows(kept, runner.leaves(batch)) for kept, batch in zip(before, first, strict=True)):
        return Compared(result("not-repeatable", {}, f"{_REPEAT}, after other calls ({_CAUSES})"), singles)
    if any(seen_here.differing for seen_here in seen.values()):
        return Compared(result("batch-variant", seen), singles)
    if all(all_alike(flat(values)) for values in singles.values()):
        alike = all(row.tobytes() == rows[0].tobytes() for row in rows)
        empty = all(not values.size for values in singles.values())
        equal = _WHOLE if all(values.dtype.kind in "iu" for values in singles.values()) else _EQUAL
        return Compared(result("invalid", {}, _EMPTY if empty else _ONE if alike else equal), singles)
    return Compared(result("batch-invariant", seen), singles)


def _repeats(runner: ComparedNetwork, batches: Sequence[Rows], before: Sequence[Leaves], rows: Rows) -> bool:
    """Whether one example and a batch give the same bytes again, right away and after other examples."""
    again = [same_rows(kept, runner.leaves(batch)) for kept, batch in zip(before, batches, strict=True)]
    runner.leaves(rows[-1:].copy())
    return all(again) and all(same_rows(k, runner.leaves(batch)) for k, batch in zip(before, batches, strict=True))


def _all_alone(runner: ComparedNetwork, rows: Rows) -> Leaves:
    parts = [runner.leaves(rows[i : i + 1].copy()) for i in range(len(rows))]
    shapes = {tuple((place, part[place].shape, part[place].dtype) for place in part) for part in parts}
    if len(shapes) > 1:
        raise TypeError("single examples give outputs of different shapes: rows of one shape are expected")
    return {place: np.concatenate([part[place] for part in parts]) for place in parts[0]}


def _not_finite(singles: Leaves, rows: Rows) -> str:
    """Which outputs no comparison can be made of; with how many of their examples hold such values themselves."""
    for place, values in singles.items():
        if bad := _bad(values):
            where = f" in output {place!r}" if place else ""
            told = f"{len(bad)} of {counted(len(values), 'example')} give NaN or infinite values{where}, alone"
            given = len({row for part in parts_of(rows).values() for row in _bad(part)}.intersection(bad))
            return f"{told}; {given} of these hold such values as they are given" if given else told
    return ""


def _bad(values: Rows) -> list[int]:
    """Which rows hold a NaN or an infinity."""
    return non_finite_rows(flat(values)).tolist() if values.dtype.kind in "fcV" else []


def _at(runner: ComparedNetwork, rows: Rows, n: int, singles: Leaves, probes: int, sparing: bool) -> Seen:
    seen = Seen()
    for what, which, batch in batches(rows, n, probes):
        if what != NATURAL:
            if sparing and NATURAL in seen.seen:
                break
            seen.probed = True
        leaves = runner.leaves(batch)
        seen.images.update(i for i in which if i is not None)
        places = [place for place, i in enumerate(which) if i is not None]
        alone = [i for i in which if i is not None]
        for name, values in leaves.items():
            note(seen, name, what, singles[name], values, places, alone)
        if what == NATURAL:
            seen.digests |= dict(zip(alone, row_digests([*leaves.values()], len(batch)), strict=True))
    return seen


def same_rows(left: Leaves, two: Leaves) -> bool:
    """Whether these are the same outputs, byte by byte."""
    return left.keys() == two.keys() and all(
        (left[place].shape, left[place].dtype, left[place].tobytes())
        == (two[place].shape, two[place].dtype, two[place].tobytes())
        for place in left
    )

"""From what a worker tried to the records of repairs: one for each rung, the best of its candidates."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.records.study import Agreement, Delivery, Repair, RepairState
from isobatch.pipeline.records.wording import agreeing, counted, listed, percent, sizes, two_decimals
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.verify import Verified

A = TypeVar("A", bound=Attempt)

AgreementOf = Callable[[Sequence[Verified]], Agreement | None]
"""How often a repaired self gives the reference's answer, from its verification; None: not compared."""

PROOF = "surgical"
"""The rung that proves the list of origins: with exactly these layers in one shape nothing depends on N."""

FREE_THROUGHPUT, FREE_LATENCY = 0.95, 1.10
"""What passes for no cost: the targets of the project. A repair within both needs no rival."""

CHANGED = 1.25
"""What other outputs for single images count as: nothing is known of the accuracy of these."""

_CLEARLY = 0.95


def best(tried: Sequence[A], objective: str = "throughput") -> A | None:
    """The candidate to take: of those that hold bitwise the one of clearly least cost, or None.

    First one of each rung, then one of these, so that a rung's record is of the candidate that is taken of it.
    """
    of_each = (_of_rung(group, objective) for group in _by_rung(tried))
    return _clearly_cheapest([attempt for attempt in of_each if attempt and attempt.bitwise], objective)


def repair_records(
    tried: Sequence[Attempt],
    objective: str = "throughput",
    chosen: int | None = None,
    agreement: AgreementOf = lambda verified: None,
) -> list[Repair]:
    """One record a rung, in the order of the ladder; of the rung of ``chosen`` that of this very candidate.

    ``agreement``: asked of what holds and changes the singles.
    """
    taken = None if chosen is None else tried[chosen]
    records = []
    for group in _by_rung(tried):
        mine = taken if any(attempt is taken for attempt in group) else _of_rung(group, objective)
        records.append(_record(group, mine, agreement))
    return records


def _by_rung(tried: Sequence[A]) -> list[list[A]]:
    return [list(group) for _, group in groupby(tried, key=lambda attempt: attempt.name)]


def _of_rung(tried: Sequence[A], objective: str) -> A | None:
    """Of the candidates of one rung that hold the one of clearly least cost."""
    return _clearly_cheapest([attempt for attempt in tried if attempt.holds], objective)


def _clearly_cheapest(held: Sequence[A], objective: str) -> A | None:
    """The first, unless a later one costs less by more than what passes for noise here."""
    chosen = next(iter(held), None)
    for rival in held[1:]:
        if chosen and _cost(rival, objective) < _CLEARLY * _cost(chosen, objective):
            chosen = rival
    return chosen


def _record(tried: list[Attempt], chosen: Attempt | None, agreement: AgreementOf) -> Repair:
    name = tried[0].name
    run = [attempt for attempt in tried if attempt.holds is not None]
    if not run:
        last = tried[-1]
        late, state = last.out_of_time, _not_run(last)
        return Repair(name=name, batch_invariant=None, scope="", note=last.why, out_of_time=late, state=state)
    held = [attempt for attempt in run if attempt.holds]
    chosen = chosen or run[-1]
    verified = chosen.verified
    latency = {str(n): median_interval(ratios) for n, ratios in chosen.ratios.items() if n == 1}
    throughput = {
        str(n): median_interval([1 / ratio for ratio in ratios]) for n, ratios in chosen.ratios.items() if n > 1
    }
    made = None
    if chosen.holds and chosen.change is not None:
        made = Delivery(inputs=verified[0].inputs, change=chosen.change, serving=chosen.serving, sha256=chosen.sha256)
    return Repair(
        name=name,
        batch_invariant=bool(chosen.holds) and chosen.bitwise,
        top1_stable=None if chosen.bitwise else bool(chosen.holds),
        scope=scope(verified),
        layers=len(chosen.layers),
        singles_as_native=chosen.as_native,
        top1_as_native=sum(result.top1_as_native for result in verified),
        agreement=agreement(verified) if chosen.holds and not chosen.as_native else None,
        n_images=sum(result.n_images for result in verified),
        n_comparisons=sum(result.n_comparisons for result in verified),
        throughput_ratio=throughput,
        latency_ratio=latency,
        recomputed_share=chosen.recomputed,
        delivery=made,
        out_of_time=any(attempt.out_of_time for attempt in tried),
        note="; ".join([*_notes(chosen, held), *(f"another way was {late.why}" for late in tried if late.out_of_time)]),
    )


def _not_run(attempt: Attempt) -> RepairState:
    """Why it was not run, in one word."""
    if attempt.failed:
        return "fails"
    if attempt.out_of_time:
        return "out-of-time"
    return "not-tried" if attempt.too_dear else "does-not-apply"


def scope(verified: Iterable[Verified]) -> str:
    """Over what it was verified, in words."""
    parts: dict[str, list[str]] = {}
    for result in verified:
        what = f"{result.n_images} images of {result.inputs} at {sizes(result.differing)}"
        parts.setdefault(f"{counted(result.threads, 'thread')}", []).append(what)
    texts = [f"{listed(names)} on {threads}" for threads, names in parts.items()]
    return f"{listed(texts)}, with a rotation and an outlier neighbour"


def _notes(chosen: Attempt, held: list[Attempt]) -> list[str]:
    notes = [chosen.how]
    if not chosen.holds:
        still = [
            (count, n, result)
            for result in chosen.verified
            for n, count in (result.differing if chosen.bitwise else result.flipped).items()
        ]
        count, n, result = max(still, key=lambda item: item[0])
        notes.append(
            f"{counted(count, 'row')} of {result.n_images} images of {result.inputs} still "
            f"{agreeing(count, 'differ')} at N = {n}, rotated and beside an outlier included"
        )
    elif not chosen.as_native:
        same = sum(result.top1_as_native for result in chosen.verified)
        every = sum(result.n_images for result in chosen.verified)
        notes.append(
            "its singles are not those of the unrepaired variant: the outputs change once, on deployment "
            f"(the answer is the same on {same} of {every} images)"
        )
    if chosen.recomputed is not None:
        notes.append(f"{percent(chosen.recomputed)} of the images were run again")
    others = [attempt for attempt in held if attempt is not chosen and attempt.ratios]
    notes += [f"also holds: {other.how}, at {_paid(other)}" for other in others]
    if others:
        notes.append(f"this one costs {_paid(chosen)}")
    return notes


def _paid(attempt: Attempt) -> str:
    """The medians in words, the frontier's coordinates."""
    middle = {n: statistics.median(ratios) for n, ratios in attempt.ratios.items()}
    parts = [f"{two_decimals(middle[1])} x the latency of a single image"] if 1 in middle else []
    parts += [f"{two_decimals(1 / ratio)} x the throughput at N = {n}" for n, ratio in middle.items() if n > 1]
    return listed(parts)


def _cost(attempt: Attempt, objective: str) -> float:
    """What the objective asks; ``CHANGED`` times that where the singles, and so perhaps the accuracy, change."""
    return objective_cost(attempt.ratios, objective) * (1.0 if attempt.as_native else CHANGED)


def free_limits(batch_sizes: Iterable[int]) -> dict[int, float]:
    """By N, up to which time over the native's a repair passes for one without cost."""
    return {n: FREE_LATENCY if n == 1 else 1 / FREE_THROUGHPUT for n in batch_sizes}


def objective_cost(ratios: Mapping[int, Sequence[float]], objective: str) -> float:
    """What the objective asks of a repair priced so (seconds over native, by N): lower is better, inf where unpriced.

    For latency that of a single image; else the geometric mean over larger N, times what a single image pays beyond
    ``FREE_LATENCY``: it is not to pay for the batch.
    """
    middle = {n: statistics.median(pairs) for n, pairs in ratios.items()}
    if not middle:
        return math.inf
    larger = [ratio for n, ratio in middle.items() if n > 1]
    single = middle.get(1, 1.0)
    if objective == "latency" or not larger:
        return middle[min(middle)]
    return statistics.geometric_mean(larger) * max(1.0, single / FREE_LATENCY)

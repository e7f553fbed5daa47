"""The variants that no other beats, and the two figures besides cost by which variants are ranked."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.decide.policy import Price, obstacles, price
from isobatch.pipeline.records.study import VERDICTS, Contestant, ParetoPoint, Policy, VariantResult


def pareto_set(
    variants: Sequence[VariantResult], policy: Policy, race: Mapping[str, Contestant] = {}
) -> list[ParetoPoint]:
    """The measured, valid variants that no other beats: as good in accuracy, cost (the objective) and stability, and
    better in one. An unknown accuracy counts as below every known one: what is not known is no merit.

    What nothing is known of, neither accuracy nor agreement with the reference, is left out: its answers may be
    anything. ``race``: the contestants whose calls price the objective; others have the times of the passes.
    """
    anything = Policy(stability="none", objective=policy.objective)
    open_to = [
        (variant, _raced(paid, race.get(variant.name), policy))
        for variant in variants
        if (variant.accuracy is not None or variant.agreement is not None)
        and not obstacles(variant, anything)
        and (paid := price(variant.cost, anything))
    ]
    return [
        _point(variant, race.get(variant.name))
        for variant, paid in open_to
        if not any(_beats(other, other_paid, variant, paid) for other, other_paid in open_to)
    ]


def _beats(variant: VariantResult, paid: Price, other: VariantResult, other_paid: Price) -> bool:
    mine = top1_of(variant), -paid.cost, -_rank(variant)
    yours = top1_of(other), -other_paid.cost, -_rank(other)
    return mine != yours and mine[0] >= yours[0] and mine[1] >= yours[1] and mine[2] >= yours[2]


def _raced(paid: Price, contestant: Contestant | None, policy: Policy) -> Price:
    """The price by the race's calls, where there are some."""
    if contestant is None or not contestant.call_s or policy.objective == "size":
        return paid
    return replace(paid, cost=statistics.median(contestant.call_s) / contestant.batch_size)


def _point(variant: VariantResult, contestant: Contestant | None) -> ParetoPoint:
    cost, verdict = variant.cost, variant.verdict
    assert cost is not None and verdict is not None  # a variant with a price and no obstacle has both
    if contestant is not None and contestant.call_s:
        seen = median_interval([contestant.batch_size / seconds for seconds in contestant.call_s]).median  # as at work
    else:
        seen = max((speed.median for speed in cost.throughput_img_s.values()), default=0.0)
    return ParetoPoint(
        variant=variant.name,
        verdict=verdict,
        throughput_img_s=seen or None,
        latency_ms=cost.latency_ms.median if cost.latency_ms else None,
        size_bytes=cost.size_bytes,
        accuracy=variant.accuracy.top1 if variant.accuracy else None,
    )


def top1_of(variant: VariantResult) -> float:
    """Its top-1, below every real one where it was not evaluated."""
    return variant.accuracy.top1 if variant.accuracy else -1.0


def size_of(variant: VariantResult) -> int:
    """Bytes of its artifact, 0 where it has no cost."""
    return variant.cost.size_bytes if variant.cost else 0


def _rank(variant: VariantResult) -> int:
    return VERDICTS.index(variant.verdict) if variant.verdict else len(VERDICTS)

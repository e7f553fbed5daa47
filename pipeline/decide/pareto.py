"""The variants that no other beats."""

import operator
import statistics
from collections.abc import Mapping, Sequence

from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.decide.policy import obstacles, price
from isobatch.pipeline.records.study import VERDICTS, Contestant, ParetoPoint, Policy, VariantResult

Merits = tuple[float, float, int]


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
        (variant, merits)
        for variant in variants
        if (variant.accuracy is not None or variant.agreement is not None)
        and not obstacles(variant, anything)
        and (merits := _merits(variant, anything, race.get(variant.name)))
    ]
    return [
        _point(variant, race.get(variant.name))
        for variant, mine in open_to
        if not any(mine != other and all(map(operator.ge, other, mine)) for _, other in open_to)
    ]


def _merits(variant: VariantResult, policy: Policy, contestant: Contestant | None) -> Merits | None:
    """Accuracy, cheapness, by the race's calls where there are some, and stability: more is better. None: no price."""
    paid, verdict = price(variant.cost, policy), variant.verdict
    if paid is None or verdict is None:
        return None
    cost, top1 = paid.cost, variant.accuracy.top1 if variant.accuracy else -1.0
    if contestant is not None and contestant.call_s and policy.objective != "size":
        cost = statistics.median(contestant.call_s) / contestant.batch_size
    return top1, -cost, -VERDICTS.index(verdict)


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
        raced=contestant is not None and bool(contestant.call_s),
        throughput_img_s=seen or None,
        latency_ms=cost.latency_ms.median if cost.latency_ms else None,
        size_bytes=cost.size_bytes,
        accuracy=variant.accuracy.top1 if variant.accuracy else None,
    )

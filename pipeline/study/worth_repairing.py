"""What explaining and repairing takes, and which repairs cannot win, so that only the list of origins is proved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isobatch.models.registry import find_variant
from isobatch.pipeline.decide.agreement import decide
from isobatch.pipeline.evidence.by_value import first_round
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Policy, VariantResult

# roughly what explaining and repairing one variant costs, for the estimate of the time left
ONCE_S = 8.0  # opening, scripts, and what is computed beside the network
_LOOKED = 110  # images through the network to find origins and what they depend on
_PRICED = 150  # to price a repair that may win
_QUICK = 0.4  # the share of these images that a quick study runs

CLEARLY = 1.25
"""Times of evidence are orientation: only what is slower than another variant by this factor is out of the race."""


@dataclass
class Budget:
    """The seconds left for repairs, and the variants that wait for them: what one does not use is the others'."""

    left_s: float
    waiting: int
    hopeless: Mapping[str, str] = field(default_factory=dict)  # by variant why its repairs are not tried

    def share_s(self) -> float:
        """What the next variant may use; at least a moment."""
        return max(1.0, self.left_s / max(1, self.waiting))

    def spend(self, seconds: float) -> None:
        """One variant has used so many."""
        self.left_s -= seconds
        self.waiting -= 1


def cannot_win(results: Sequence[VariantResult], policy: Policy) -> dict[str, str]:
    """By variant why no repair of it can be chosen; those that may be are left out, and so is the baseline.

    A repair costs time, so it loses where another variant is batch-invariant as it is, clearly faster in throughput and
    latency, and not known to miss accuracy or agreement. With any other demand or preference nothing is left out.
    """
    limits = (policy.max_latency_ms, policy.max_latency_p99_ms, policy.max_size_mb, policy.min_throughput_img_s)
    if policy.objective == "size" or any(limit is not None for limit in limits):
        return {}
    good = [v for v in results if v.verdict == "batch-invariant" and v.cost and _answers_well(v, policy)]
    reasons = {}
    for result in results:
        if result.baseline or result.cost is None or result.verdict not in ("batch-variant", "top1-stable"):
            continue
        faster = next((v for v in good if _clearly_faster(v, result) and _as_accurate(v, result)), None)
        if faster is not None:
            reasons[result.name] = f"{faster.name} is batch-invariant as it is, and clearly faster"
    return reasons


def not_tried(variant: str, why: str) -> str:
    """What is said of each of its repairs."""
    return f"not tried: {why}; the command repair --variant {variant} with this study's flags tries it" if why else ""


def _answers_well(variant: VariantResult, policy: Policy) -> bool:
    agrees = variant.agreement is None or decide(variant.agreement, policy.min_agreement) != "missed"
    return agrees and (variant.accuracy_drop is None or variant.accuracy_drop.decided != "not-met")


def _as_accurate(variant: VariantResult, other: VariantResult) -> bool:
    """Whether no count at hand speaks for the other variant."""
    if variant.accuracy_drop is not None and variant.accuracy_drop.decided == "undecided":
        return False
    return variant.agreement is None or other.agreement is None or variant.agreement.share >= other.agreement.share


def _clearly_faster(variant: VariantResult, other: VariantResult) -> bool:
    costs = [v.cost for v in (variant, other) if v.cost is not None and v.cost.latency_ms is not None]
    if len(costs) < 2:
        return False
    best, others = (max(i.median for i in cost.throughput_img_s.values()) for cost in costs)
    alone, other_alone = (cost.latency_ms.median for cost in costs if cost.latency_ms is not None)
    return best > CLEARLY * others and alone * CLEARLY < other_alone


def explaining_cost(stages: Stages, variant: str, prepared: PreparedSet, *, hopeless: bool) -> float:
    """Rough seconds of explaining one variant, and of repairing it; ``hopeless``: only the proof is tried."""
    spec, side = find_variant(variant), prepared.evaluation.side
    calls_s = cost(spec, _LOOKED, side)
    share = _QUICK if stages.config.quick else 1.0
    if not stages.config.repair:
        return ONCE_S + share * calls_s
    for image_set in (prepared, *served(stages, variant, prepared)):
        passes = first_round(len(image_set.evaluation), stages.config.batch_sizes)
        proof = len(image_set.evaluation) + sum(p.stop - p.start for p in passes)
        calls_s += cost(spec, proof, image_set.evaluation.side)
    return ONCE_S + share * (calls_s + (0.0 if hopeless else cost(spec, _PRICED, side)))


def served(stages: Stages, variant: str, prepared: PreparedSet) -> list[PreparedSet]:
    """The other input sets that run the very same artifact."""
    key = stages.artifacts[variant, prepared.record.name].key
    others = [other for other in stages.sets if other is not prepared]
    return [
        s
        for s in others
        if (variant, s.record.name) in stages.artifacts and stages.artifacts[variant, s.record.name].key == key
    ]

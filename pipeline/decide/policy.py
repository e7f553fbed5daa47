"""What a policy asks of a variant, what stands in its way, and what it costs under the objective."""

from dataclasses import dataclass

from isobatch.pipeline.compare.accuracy import decide
from isobatch.pipeline.decide import agreement
from isobatch.pipeline.decide.batch_size import roughly
from isobatch.pipeline.decide.repaired_variants import decided_where
from isobatch.pipeline.records.study import AccuracyDrop, Cost, Interval, Policy, VariantResult
from isobatch.pipeline.records.wording import counted, limit_points, number, points, with_limits

DEFAULT_MAX_DROP_POINTS = 2.0
"""Where no limit is asked for: a drop that certainly exceeds it is an obstacle, one that only might is none."""

_ALLOWED = {
    "batch-invariant": ("batch-invariant",),
    "top1-stable": ("batch-invariant", "top1-stable"),
    "none": ("batch-invariant", "top1-stable", "batch-variant"),
}


def describe(policy: Policy) -> str:
    """The policy's demands in words: ``batch-invariant, accuracy drop at most 2 points, most images a second``."""
    parts: list[str] = ["any stability" if policy.stability == "none" else policy.stability]
    if policy.max_accuracy_drop is not None:
        parts.append(f"accuracy drop at most {limit_points(policy.max_accuracy_drop)}")
    parts.append(f"the reference's answer on at least {number(policy.min_agreement)} % of the images")
    limits = {
        "at most {} ms for a call": policy.max_latency_ms,
        "at most {} ms for 99 % of calls": policy.max_latency_p99_ms,
        "at most {} MB": policy.max_size_mb,
        "at least {} img/s": policy.min_throughput_img_s,
    }
    parts += [words.format(number(limit)) for words, limit in limits.items() if limit is not None]
    wish = {"throughput": "most images a second", "latency": "lowest latency", "size": "smallest artifact"}
    return ", ".join([*parts, wish[policy.objective]])


def obstacles(variant: VariantResult, policy: Policy) -> list[str]:
    """All that keeps the variant from being a candidate under the policy, its limits on time aside; empty for a
    candidate: these are judged at the N that is recommended.

    What could not be measured stands in the way like what was measured and failed: nothing unknown counts as good.
    """
    barred = _barred(variant)
    if barred:
        return [barred]
    texts = []
    if variant.verdict not in _ALLOWED[policy.stability]:
        why = f" ({decided_where(variant.decided_by, variant.name)})" if variant.decided_by else ""
        texts.append(f"{variant.verdict}, where the policy asks for {policy.stability}{why}")
    texts += answer_obstacles(variant, policy)
    texts += _cost_obstacles(variant.cost, policy, variant.cost_note)
    return texts


def _barred(variant: VariantResult) -> str | None:
    """Why the variant is no candidate under any policy."""
    if variant.role == "reference":
        return "the reference for numeric error, never a candidate"
    if variant.status != "measured":
        remedy = f" ({variant.remedy})" if variant.remedy else ""
        return f"{variant.status}: {variant.reason or 'no reason was recorded'}{remedy}"
    if variant.verdict is None:
        return "no verdict: nothing was compared"
    if variant.verdict in ("invalid", "not-repeatable"):
        decided = variant.decided_by
        return f"{variant.verdict}{f' on {decided.inputs}: {decided.why}' if decided else ''}"
    return None


def answer_obstacles(variant: VariantResult, policy: Policy) -> list[str]:
    """What its accuracy and, where no drop of it is decided, its agreement with the reference put in its way.

    The baseline that drops are measured against has none: nothing fails against itself. Without a limit on the drop,
    one that certainly exceeds the default is an obstacle all the same, at any number of labels.
    """
    if variant.baseline:
        return []
    limit, drop = policy.max_accuracy_drop, variant.accuracy_drop
    if drop is not None:
        drop = decide(drop, DEFAULT_MAX_DROP_POINTS if limit is None else limit)
        if drop.decided != "undecided":
            return _accuracy_obstacle(variant, drop, limit)
    lacking = _accuracy_obstacle(variant, drop, limit) if limit is not None else []
    return [*lacking, *agreement.obstacles(variant, policy)]


def _accuracy_obstacle(variant: VariantResult, drop: AccuracyDrop | None, limit: float | None) -> list[str]:
    """``drop`` is decided, against the default where ``limit`` is None."""
    default = "" if limit is not None else " that holds where none is set"
    asked = f"the limit of {limit_points(DEFAULT_MAX_DROP_POINTS if limit is None else limit)}{default}"
    if drop is None:
        return [f"accuracy unknown against {asked}: {variant.accuracy_note or 'it was not measured'}"]
    drop_in_words = f"{points(drop.value)}, 95 % bound {points(drop.upper95, 'up')}, {counted(drop.n, 'image')}"
    if drop.decided == "met":
        return []
    if drop.decided == "not-met":
        return [f"accuracy drop beyond {asked} ({drop_in_words})"]
    enough = "no feasible number of images" if drop.needed_n is None else f"about {drop.needed_n:,} images"
    return [f"accuracy drop undecided against {asked} ({drop_in_words}); {enough} would decide at these rates"]


def _cost_obstacles(cost: Cost | None, policy: Policy, note: str | None) -> list[str]:
    texts = []
    if policy.max_size_mb is not None:
        if cost is None:
            texts.append("size not measured")
        elif cost.size_bytes > policy.max_size_mb * 1e6:
            texts.append(f"size {megabytes(cost.size_bytes)} above the limit of {number(policy.max_size_mb)} MB")
    if price(cost, Policy(objective=policy.objective)) is None:
        texts.append(f"{policy.objective} not measured{f', {note}' if note else ''}")
    return texts


@dataclass(frozen=True)
class Price:
    """What the objective minimises, and the same with its 95 % limits in words."""

    cost: float  # seconds an image, milliseconds a call, or bytes
    text: str
    timed_once: bool = False


def price(cost: Cost | None, policy: Policy) -> Price | None:
    """What the variant costs under the policy's objective, for throughput at its best open N; None: not measured."""
    if cost is None:
        return None
    if policy.objective == "size":
        return Price(cost.size_bytes, megabytes(cost.size_bytes))
    if policy.objective == "latency":
        alone = cost.latency_ms
        return None if alone is None else _timed(alone.median, alone, "ms", "for one image")
    if (best := roughly(cost, policy)) is None:
        return None
    timed = cost.throughput_img_s[str(best[0])]
    return _timed(1 / timed.median, timed, "img/s", f"at N = {best[0]}")


def _timed(cost: float, timed: Interval, unit: str, what: str) -> Price:
    alone = " (timed once)" if timed.low95 is None or timed.high95 is None else ""
    return Price(cost, f"{with_limits(timed, number)} {unit}{alone} {what}", timed.n == 1)


def megabytes(size_bytes: int) -> str:
    """A size in units of a million bytes: ``25.6 MB``."""
    return f"{number(size_bytes / 1e6)} MB"

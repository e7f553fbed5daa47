"""The recommendation: a pure function of the variants' records and a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isobatch.pipeline.decide.agreement import sentence
from isobatch.pipeline.decide.deployment import deployment
from isobatch.pipeline.decide.pareto import pareto_set, size_of, top1_of
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS, Price, describe, megabytes, obstacles, price
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.records.study import InputsVerdict, Policy, Recommendation, Rejected, VariantResult
from isobatch.pipeline.records.wording import counted, listed, percent, points, sizes

ENOUGH_LABELLED = 300
"""At 300 images without one changed answer the exact bound on the drop is 1.6 points: a limit of 2 can be met."""


def default_policy(n_labelled: int) -> tuple[Policy, str | None]:
    """The policy where the user states none, with a warning or None; ``n_labelled``: images accuracy was taken on.

    Batch-invariant; a drop of at most 2 points of top-1 where enough labelled images were evaluated, else no limit.
    """
    if n_labelled >= ENOUGH_LABELLED:
        return Policy(max_accuracy_drop=DEFAULT_MAX_DROP_POINTS), None
    warning = (
        f"No limit on accuracy is applied: {counted(n_labelled, 'labelled image')} evaluated, and fewer than "
        f"{ENOUGH_LABELLED} can hardly show a drop below {points(DEFAULT_MAX_DROP_POINTS / 100)}; one that certainly "
        "exceeds it counts all the same. "
        "Give labelled images with --inputs DIR, or set a limit with --max-accuracy-drop."
    )
    return Policy(), warning


def recommend(variants: Sequence[VariantResult], policy: Policy) -> Recommendation:
    """The cheapest variant or repaired variant that meets the policy, why, and why each other one is not it.

    Candidates whose intervals overlap the cheapest's are tied with it: higher accuracy, then the smaller artifact,
    then the order of ``variants`` decides. ``chosen`` is None where nothing meets the policy.
    """
    every = with_repairs(variants)
    failing = {variant.name: obstacles(variant, policy) for variant in every}
    prices = {one.name: found for one in every if not failing[one.name] and (found := price(one.cost, policy))}
    candidates = [variant for variant in every if variant.name in prices]
    rejected = {name: "; ".join(why) for name, why in failing.items() if why}
    if not candidates:
        because = [f"No variant meets the policy: {describe(policy)}.", *_what_would_help(every, policy)]
        return _recommendation(every, policy, None, None, because, rejected, [])
    chosen, tied = _cheapest(candidates, prices)
    ties = [_tie(chosen, other, prices) for other in tied if other is not chosen]
    for other in candidates:
        if other not in tied:
            rejected[other.name] = (
                f"meets the policy, but {prices[other.name].text} against {prices[chosen.name].text} of {chosen.name}"
            )
        elif other is not chosen:
            rejected[other.name] = f"meets the policy and ties with {chosen.name}, which {_advantage(chosen, other)}"
    cheapest = min(tied, key=lambda one: prices[one.name].cost)
    because = _because(chosen, prices[chosen.name], cheapest.name, len(candidates), policy)
    return _recommendation(every, policy, chosen, prices[chosen.name], because, rejected, ties)


def _cheapest(
    candidates: Sequence[VariantResult], prices: dict[str, Price]
) -> tuple[VariantResult, list[VariantResult]]:
    """The choice among candidates, and all that tie with the cheapest of them."""
    cheapest = min((prices[one.name] for one in candidates), key=lambda one: one.cost)
    tied = [variant for variant in candidates if prices[variant.name].overlaps(cheapest)]
    return min(tied, key=lambda one: (-top1_of(one), size_of(one))), tied  # min keeps the first in table order


def _choice(variants: Sequence[VariantResult], policy: Policy) -> str | None:
    """The name of the choice under a policy."""
    prices = {one.name: paid for one in variants if not obstacles(one, policy) and (paid := price(one.cost, policy))}
    candidates = [one for one in variants if one.name in prices]
    return _cheapest(candidates, prices)[0].name if candidates else None


def _recommendation(
    variants: Sequence[VariantResult],
    policy: Policy,
    chosen: VariantResult | None,
    paid: Price | None,
    because: list[str],
    rejected: dict[str, str],
    ties: list[str],
) -> Recommendation:
    warnings = []
    if policy.max_accuracy_drop is None:
        limit = points(DEFAULT_MAX_DROP_POINTS / 100)
        warnings.append(f"No limit on the accuracy drop is set: only one that certainly exceeds {limit} counts.")
    if chosen and paid and paid.timed_once:
        warnings.append(f"The cost of {chosen.name} was measured by a single call: ties with it cannot be seen.")
    order = [variant.name for variant in variants]
    return Recommendation(
        policy=policy,
        chosen=chosen.name if chosen else None,
        batch_size=paid.batch_size if paid else None,
        because=because,
        rejected=[Rejected(variant=name, why=rejected[name]) for name in order if name in rejected],
        ties=ties,
        pareto=pareto_set(variants, policy),
        warnings=warnings,
        would_change=_would_change(variants, policy, chosen.name) if chosen else [],
        deploy=deployment(chosen.name, chosen.runtime, _threads(variants, chosen), chosen.device) if chosen else "",
    )


def _because(chosen: VariantResult, paid: Price, cheapest: str, n_candidates: int, policy: Policy) -> list[str]:
    """Stability, accuracy and cost of the choice, one sentence each."""
    because = [_stability(chosen)]
    drop = chosen.accuracy_drop
    if chosen.agreement and chosen.agreement.reference != chosen.name:
        because.append(f"It {sentence(chosen.agreement)}.")
    if drop is not None and not chosen.baseline:
        limit = policy.max_accuracy_drop
        asked = f"within the limit of {points(limit / 100)}" if limit is not None else "and no limit is set"
        because.append(
            f"Its top-1 drop is {points(drop.value)} on {counted(drop.n, 'image')}, at most "
            f"{points(drop.upper95)} with 95 % confidence, {asked}."
        )
    best = {"throughput": "the most images a second", "latency": "the lowest latency", "size": "the smallest artifact"}
    if n_candidates == 1:
        return [*because, f"It is the only variant that meets the policy: {paid.text}."]
    has = "has" if chosen.name == cheapest else "ties for"
    return [
        *because,
        f"Of {n_candidates} that meet the policy it {has} {best[policy.objective]}: {paid.text}.",
    ]


def _stability(chosen: VariantResult) -> str:
    """The verdict with its evidence, that of the largest set first, as one sentence."""
    if chosen.verdict == "batch-invariant" and chosen.by_inputs:
        largest, *others = sorted(chosen.by_inputs, key=lambda one: -one.n_images)
        evidence = f"{_images(largest)} are those of their singles at {_tried(chosen, largest)}"
        if others:
            evidence += f", and those of {listed(f'{_images(one)} at {_tried(chosen, one)}' for one in others)}"
        made = counted(sum(one.n_comparisons for one in chosen.by_inputs), "comparison")
        repeated = " No call was repeated." if chosen.repeatable is None else ""
        return f"It is batch-invariant: all bytes of {evidence} ({made}).{repeated}"
    if chosen.decided_by is None:
        return f"It is {chosen.verdict}."
    why = chosen.decided_by.why.rstrip(".")
    return f"It is {chosen.verdict}: on {chosen.decided_by.inputs}, {why[:1].lower()}{why[1:]}."


def _images(verdict: InputsVerdict) -> str:
    return counted(verdict.n_images, f"{verdict.inputs} image")


def _tried(chosen: VariantResult, verdict: InputsVerdict) -> str:
    kinds = ("batch-vs-singles", "position", "neighbours")
    return sizes(one.batch_size for one in chosen.comparisons if one.kind in kinds and one.inputs == verdict.inputs)


def _tie(chosen: VariantResult, other: VariantResult, prices: dict[str, Price]) -> str:
    return (
        f"{chosen.name} ({prices[chosen.name].text}) and {other.name} ({prices[other.name].text}) cannot be told "
        f"apart; {chosen.name} {_advantage(chosen, other)}."
    )


def _advantage(chosen: VariantResult, other: VariantResult) -> str:
    if top1_of(chosen) > top1_of(other):
        known = percent(other.accuracy.top1) if other.accuracy else "unknown"
        return f"has the higher accuracy ({percent(top1_of(chosen))} against {known})"
    if size_of(chosen) < size_of(other):
        return f"is the smaller artifact ({megabytes(size_of(chosen))} against {megabytes(size_of(other))})"
    return "comes first in the table, all else being equal"


_RELAXED: dict[str, dict[str, Any]] = {
    "With --policy top1-stable": {"stability": "top1-stable"},
    "With --policy none": {"stability": "none"},
    "Without --max-accuracy-drop": {"max_accuracy_drop": None},
    "Without --max-latency-ms": {"max_latency_ms": None},
    "Without --max-size-mb": {"max_size_mb": None},
    "Without --min-throughput": {"min_throughput_img_s": None},
}
_OTHERWISE: dict[str, dict[str, Any]] = {
    "With --policy batch-invariant": {"stability": "batch-invariant"},
    **_RELAXED,
    **{f"With --objective {one}": {"objective": one} for one in ("throughput", "latency", "size")},
}


def _what_would_help(variants: Sequence[VariantResult], policy: Policy) -> list[str]:
    """Each single demand that, given up, would leave a candidate; else that no single one would."""
    found = []
    for change, update in _RELAXED.items():
        relaxed = policy.model_copy(update=update)
        names = [variant.name for variant in variants if relaxed != policy and not obstacles(variant, relaxed)]
        if names:
            found.append(f"{change}, {listed(names)} would meet it.")
    return found or [
        "No single demand given up would leave a candidate; the reason of each variant says what is amiss."
    ]


def _would_change(variants: Sequence[VariantResult], policy: Policy, chosen: str) -> list[str]:
    """Each single demand or wish that, stated otherwise, would lead to another choice; and to which."""
    found = []
    for change, update in _OTHERWISE.items():
        other = policy.model_copy(update=update)
        name = _choice(variants, other) if other != policy else chosen
        if name != chosen:
            found.append(f"{change}, {name} would be chosen." if name else f"{change}, nothing would be left.")
    return found


def _threads(variants: Sequence[VariantResult], chosen: VariantResult) -> int:
    """The most threads that the variant, or the one it is the repaired self of, was compared with; 1 where none was."""
    native = chosen.name.partition("+")[0]
    return max((c.condition.threads for one in variants if one.name == native for c in one.comparisons), default=1)

"""From records to contenders: who meets every demand under a policy, and by what the choice is made among them."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from isobatch.pipeline.compare.accuracy import unpacked
from isobatch.pipeline.decide.batch_size import roughly
from isobatch.pipeline.decide.choice import Contender
from isobatch.pipeline.decide.policy import obstacles
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.decide.tails import call_time
from isobatch.pipeline.records.study import VERDICTS, Contestant, Policy, Race, UpperLimit, VariantResult
from isobatch.pipeline.records.wording import counted, number


@dataclass(frozen=True)
class Standings:
    """Every variant and repaired self under a policy. ``failing``: what stands in its way, by name; empty for none.

    ``race``: the contestants whose calls price what the policy's objective asks for, by name.
    """

    every: Sequence[VariantResult]
    failing: Mapping[str, list[str]]
    contenders: Sequence[Contender]
    race: Mapping[str, Contestant]

    def find(self, name: str) -> VariantResult:
        """The variant or repaired self of that name."""
        return next(variant for variant in self.every if variant.name == name)


def standings(
    variants: Sequence[VariantResult], policy: Policy, race: Race | None, without: Collection[str] = ()
) -> Standings:
    """Who stands in the way of what. ``without``: these names are no candidates, for a reason the caller knows."""
    every = with_repairs(variants)
    raced = usable(race, policy)
    failing = {variant.name: _failing(variant, policy, raced.get(variant.name)) for variant in every}
    contenders = [
        contender(variant, policy, raced.get(variant.name))
        for variant in every
        if not failing[variant.name] and variant.name not in without
    ]
    return Standings(every, failing, contenders, raced)


def usable(race: Race | None, policy: Policy) -> dict[str, Contestant]:
    """The contestants of a race, where it was run at the N that this objective asks for.

    Of a steady race without the waits of their calls, which are part of its noise then.
    """
    if race is None or (race.objective == "latency") != (policy.objective == "latency"):
        return {}
    known: dict[str, list[float]] = {} if race.unsteady else {"waited_s": []}
    return {contestant.variant: contestant.model_copy(update=known) for contestant in race.contestants}


def contender(variant: VariantResult, policy: Policy, raced: Contestant | None) -> Contender:
    """The record as the choice sees it."""
    best = roughly(variant.cost, policy)
    ran = raced if raced and not raced.dropped else None
    return Contender(
        name=variant.name,
        seconds=tuple(s / ran.batch_size for s in ran.call_s) if ran else (),
        waited=tuple(s / ran.batch_size for s in ran.waited_s) if ran else (),
        roughly=best[1] if best else None,
        rank=VERDICTS.index(variant.verdict) if variant.verdict else len(VERDICTS),
        right=unpacked(variant.accuracy) if variant.accuracy else None,
        error=_error(variant),
        size=variant.cost.size_bytes if variant.cost else 0,
    )


def _error(variant: VariantResult) -> float | None:
    """The largest over the input sets of the median relative error against the reference; None: not known."""
    values = []
    for comparison in variant.comparisons:
        if comparison.kind == "vs-reference":
            value = (
                comparison.relative_l2 if comparison.relative_error_median is None else comparison.relative_error_median
            )
            if value is not None and math.isfinite(value):
                values.append(value)
    return max(values, default=None)


def _failing(variant: VariantResult, policy: Policy, raced: Contestant | None) -> list[str]:
    """What keeps it from being a candidate. Latency is judged at the N that is recommended, not at N = 1."""
    missed = obstacles(variant, policy.model_copy(update={"max_latency_ms": None}))
    if missed:
        return missed
    if raced is not None and raced.dropped:
        return [f"it dropped out of the race: {raced.dropped}"]
    if roughly(variant.cost, policy) is None:
        limit = "" if policy.max_latency_ms is None else f" within {number(policy.max_latency_ms)} ms"
        return [f"latency: no tested N has a call{limit}"]
    timed = call_time(raced.more_s or raced.call_s) if raced else None
    if raced is None or timed is None:
        # a limit of the tail is met by calls, and nobody made them
        return [] if policy.max_latency_p99_ms is None else ["latency: p99 undecided, no call of a race was timed"]
    at = f"at N = {raced.batch_size}"
    return [
        *_limit(timed.median, timed.n, policy.max_latency_ms, f"the median call {at}"),
        *_limit(timed.p99, timed.n, policy.max_latency_p99_ms, f"p99 of a call {at}"),
    ]


def _limit(seen: UpperLimit, n: int, limit_ms: float | None, what: str) -> list[str]:
    """Met by the upper limit; missed by the value itself; else undecided, with what would decide."""
    if limit_ms is None or (seen.upper95 is not None and seen.upper95 <= limit_ms):
        return []
    asked = f"the limit is {number(limit_ms)} ms"
    if seen.upper95 is None:
        return [f"latency: {what} undecided: {counted(n, 'call')}, and 299 are needed; {asked}"]
    if seen.value is not None and seen.value > limit_ms:
        return [f"latency: {what} takes {number(seen.value)} ms, {asked}"]
    return [f"latency: {what} undecided: at most {number(seen.upper95)} ms with 95 % confidence, {asked}"]

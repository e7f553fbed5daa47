"""From records to contenders: who meets every demand under a policy, and by what the choice is made among them."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from isobatch.pipeline.compare.accuracy import unpacked
from isobatch.pipeline.compare.statistics import call_time
from isobatch.pipeline.decide.batch_size import falls_short, promising, roughly
from isobatch.pipeline.decide.choice import Contender
from isobatch.pipeline.decide.policy import obstacles
from isobatch.pipeline.decide.ranges import as_shipped
from isobatch.pipeline.decide.repaired_variants import native_name, with_repairs
from isobatch.pipeline.records.study import VERDICTS, Contestant, Policy, Race, UpperLimit, VariantResult
from isobatch.pipeline.records.wording import counted, number


@dataclass(frozen=True)
class Standings:
    """Every variant and repaired self under a policy."""

    policy: Policy
    race: Race | None  # the one of the run, whatever it prices
    every: Sequence[VariantResult]
    failing: Mapping[str, list[str]]  # what stands in its way, by name; empty for none
    contenders: Sequence[Contender]
    raced: Mapping[str, Contestant]  # by name, those of the race whose calls price what the policy's objective asks for

    def find(self, name: str) -> VariantResult:
        """The variant or repaired self of that name."""
        return next(variant for variant in self.every if variant.name == name)

    def contender(self, name: str) -> Contender:
        """The one of that name that meets every demand but cost."""
        return next(contender for contender in self.contenders if contender.name == name)


def standings(
    variants: Sequence[VariantResult], policy: Policy, race: Race | None, without: Collection[str] = ()
) -> Standings:
    """Who stands in the way of what. ``without``: these names are no candidates, for a reason the caller knows."""
    every = [as_shipped(variant) for variant in with_repairs(variants)]
    raced = usable(race, policy)
    if any(_at_another_n(variant, policy, raced) for variant in every):
        raced = {}
    in_the_way = {variant.name: failing(variant, policy, raced.get(variant.name)) for variant in every}
    left = [variant for variant in every if not in_the_way[variant.name] and variant.name not in without]
    same = common_sets(left)
    contenders = [
        contender(variant, policy, raced.get(variant.name), error_of(variant, every, same)) for variant in left
    ]
    return Standings(policy, race, every, in_the_way, contenders, raced)


def usable(race: Race | None, policy: Policy) -> dict[str, Contestant]:
    """The contestants of a race, where it was run at the N that this objective asks for.

    Of a steady race without the waits of their calls, which are part of its noise then.
    """
    if race is None or (race.objective == "latency") != (policy.objective == "latency"):
        return {}
    known: dict[str, list[float]] = {} if race.unsteady else {"waited_s": []}
    return {contestant.variant: contestant.model_copy(update=known) for contestant in race.contestants}


def _at_another_n(variant: VariantResult, policy: Policy, raced: Mapping[str, Contestant]) -> bool:
    """Whether a race under this policy would have run a candidate at another N, and so have priced it otherwise."""
    contestant = raced.get(variant.name)
    if contestant is None or variant.cost is None or obstacles(variant, policy):
        return False
    worth_a_try = promising(variant.cost, policy)
    return bool(worth_a_try) and contestant.batch_size not in worth_a_try


def common_sets(variants: Sequence[VariantResult]) -> frozenset[str]:
    """The input sets on which all were compared with the reference that were compared with it on any."""
    sets = [frozenset(c.inputs for c in v.comparisons if c.kind == "vs-reference") for v in variants]
    return frozenset.intersection(*known) if (known := [inputs for inputs in sets if inputs]) else frozenset()


def contender(variant: VariantResult, policy: Policy, raced: Contestant | None, error: float | None) -> Contender:
    """The record as the choice sees it. ``error``: as ``error_of`` has it."""
    best = roughly(variant.cost, policy)
    ran = raced if raced and not raced.dropped else None
    return Contender(
        name=variant.name,
        seconds=tuple(s / ran.batch_size for s in ran.call_s) if ran else (),
        waited=tuple(s / ran.batch_size for s in ran.waited_s) if ran else (),
        roughly=best[1] if best else None,
        rank=VERDICTS.index(variant.verdict) if variant.verdict else len(VERDICTS),
        right=unpacked(variant.accuracy) if variant.accuracy else None,
        error=error,
        size=variant.cost.size_bytes if variant.cost else 0,
    )


def is_reference(variant: VariantResult, every: Sequence[VariantResult]) -> bool:
    """Whether its singles are the reference, compared with none: of an ONNX file ort-fp32's, without fp64 fp32's."""
    compared = any(comparison.kind == "vs-reference" for comparison in variant.comparisons)
    other = variant.agreement is not None and variant.agreement.reference != native_name(variant.name)
    fp64 = any(v.role == "reference" and v.status == "measured" for v in every)
    return variant.baseline and not compared and not other and not fp64


def error_of(variant: VariantResult, every: Sequence[VariantResult], sets: Collection[str]) -> float | None:
    """The largest over these input sets of the median relative error against the reference; None: not known."""
    values = [0.0] if is_reference(variant, every) else []
    for comparison in variant.comparisons:
        if comparison.kind == "vs-reference" and comparison.inputs in sets:
            value = (
                comparison.relative_l2 if comparison.relative_error_median is None else comparison.relative_error_median
            )
            if value is not None and math.isfinite(value):
                values.append(value)
    return max(values, default=None)


def failing(variant: VariantResult, policy: Policy, raced: Contestant | None) -> list[str]:
    """What keeps it from being a candidate. Limits on time are judged at the N that is recommended, by the race's calls
    of it; of what was not raced by the passes.
    """
    missed = obstacles(variant, policy)
    if missed:
        return missed
    if raced is not None and raced.dropped:
        return [f"it dropped out of the race: {raced.dropped}"]
    timed = call_time(raced.more_s or raced.call_s) if raced else None
    if raced is None or timed is None:
        # a limit of the tail is met by calls, and nobody made them
        late = [] if policy.max_latency_p99_ms is None else ["latency: p99 undecided, no call of a race was timed"]
        return [short] if (short := falls_short(variant.cost, policy)) else late
    at, n = f"at N = {raced.batch_size}", raced.batch_size
    return [
        *_limit(timed.median, timed.n, 5, policy.max_latency_ms, f"the median call {at}"),
        *_limit(timed.p99, timed.n, 299, policy.max_latency_p99_ms, f"p99 of a call {at}"),
        *_throughput(timed.median, timed.n, n, policy.min_throughput_img_s),
    ]


def _limit(seen: UpperLimit, n: int, needed: int, limit_ms: float | None, what: str) -> list[str]:
    """Met by the upper limit; missed by the value itself; else undecided, with what would decide."""
    if limit_ms is None or (seen.upper95 is not None and seen.upper95 <= limit_ms):
        return []
    asked = f"the limit is {number(limit_ms)} ms"
    if seen.value is not None and seen.value > limit_ms:
        return [f"latency: {what} takes {number(seen.value)} ms, {asked}"]
    if seen.upper95 is None:
        return [f"latency: {what} undecided: {counted(n, 'call')}, and {needed} are needed; {asked}"]
    return [f"latency: {what} undecided: at most {number(seen.upper95, 'up')} ms with 95 % confidence, {asked}"]


def _throughput(call: UpperLimit, calls: int, n: int, demanded: float | None) -> list[str]:
    """As ``_limit``, from the median call of ``n`` images."""
    if demanded is None or call.value is None or (call.upper95 is not None and 1e3 * n / call.upper95 >= demanded):
        return []
    asked, at = f"{number(demanded)} img/s are demanded", f"{number(1e3 * n / call.value)} img/s at N = {n}"
    if 1e3 * n / call.value < demanded:
        return [f"throughput: {at} in the race, and {asked}"]
    sure = f"{counted(calls, 'call')} only"
    if call.upper95 is not None:
        sure = f"at least {number(1e3 * n / call.upper95, 'down')}"
    return [f"throughput: undecided, {at} in the race, {sure} with 95 % confidence, and {asked}"]

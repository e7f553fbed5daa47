"""The sentences of a recommendation: why this one, and why not each other one."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from isobatch.pipeline.decide.agreement import sentence
from isobatch.pipeline.decide.choice import Choice
from isobatch.pipeline.decide.contenders import Standings
from isobatch.pipeline.decide.pareto import top1_of
from isobatch.pipeline.decide.policy import megabytes, price, with_limits
from isobatch.pipeline.decide.repaired_variants import native_and_rung
from isobatch.pipeline.records.study import AtWork, InputsVerdict, Policy, Race, VariantResult
from isobatch.pipeline.records.wording import clause, counted, limit_points, listed, number, percent, points, sizes

_BEST = {
    "throughput": "the most images a second",
    "latency": "the lowest latency",
    "size": "the smallest artifact or one as small",
}

UNCOMPARED = "Not known: whether its answers are the reference's (drawn inputs and raw outputs have none to compare)."


RestsOn = Literal["bytes", "answers", "accuracy", "cost", "other"]
_BY: dict[str, RestsOn] = {"stability": "bytes", "accuracy": "accuracy", "error": "answers", "size": "cost"}


@dataclass(frozen=True)
class Reason:
    """One sentence, and what kind of evidence it rests on."""

    on: RestsOn
    text: str


def because(
    chosen: VariantResult, all_standings: Standings, choice: Choice, work: AtWork | None, policy: Policy
) -> list[Reason]:
    """Stability, accuracy and cost of the choice, one sentence each; then who may be as fast."""
    said = [Reason("bytes", _stability(chosen)), *_agrees(chosen, all_standings), *_drop(chosen, policy)]
    cost = cost_text(chosen, work, policy)
    if len(all_standings.contenders) == 1:
        return [*said, Reason("cost", f"It is the only variant that meets the policy: {cost}.")]
    of = f"Of {len(all_standings.contenders)} that meet the policy"
    if choice.chosen == choice.leader:
        return [*said, Reason("cost", f"{of} it has {_BEST[policy.objective]}: {cost}."), *undecided(choice)]
    leader = all_standings.find(choice.leader)
    return [
        *said,
        Reason("cost", f"{of} {leader.name} is the fastest; {chosen.name} is not measurably slower: {cost}."),
        Reason(_BY.get(choice.decided_by, "other"), f"It {advantage(chosen, leader, choice, all_standings)}."),
        *undecided(choice),
    ]


def undecided(choice: Choice) -> list[Reason]:
    """Who may be as fast as the leader, and is not shown to be."""
    names = [
        f"{name} at {ratio_text(choice, name)} times its time"
        for name, standing in choice.standings.items()
        if standing == "undecided"
    ]
    return [Reason("cost", f"May be as fast, which the race does not decide: {listed(names)}.")] if names else []


def cost_text(variant: VariantResult, work: AtWork | None, policy: Policy) -> str:
    """What it costs: by the race at its N, else by the passes."""
    if work is None or policy.objective == "size":
        paid = price(variant.cost, policy)
        return paid.text if paid else "its cost was not measured"
    if policy.objective == "latency":
        median = work.call_ms.median
        most = "" if median.upper95 is None else f" (at most {number(median.upper95)})"
        return f"{number(median.value or 0.0)}{most} ms for one image, in {counted(work.call_ms.n, 'call')} of the race"
    rounds = counted(work.throughput_img_s.n, "round")
    return f"{with_limits(work.throughput_img_s)} img/s at N = {work.batch_size}, in {rounds} of the race"


def why_not(name: str, all_standings: Standings, choice: Choice, race: Race | None, policy: Policy) -> str:
    """Why a candidate that meets every demand was not chosen."""
    standing = choice.standings.get(name)
    if standing is None:
        return _unraced(name, all_standings, choice, race, policy)
    ratio = ratio_text(choice, name)
    if standing == "slower":
        return f"meets the policy, but takes {ratio} times as long as {choice.leader}"
    if standing == "undecided":
        return f"meets the policy and may be as fast as {choice.leader}, which is not shown: {ratio} times its time"
    better = advantage(all_standings.find(choice.chosen), all_standings.find(name), choice, all_standings)
    if standing == "leader":
        return f"meets the policy and is the fastest, but {choice.chosen} is not measurably slower and {better}"
    slow = f"not measurably slower than {choice.leader}, at {ratio} times its time"
    return f"meets the policy and is {slow}, but {choice.chosen} {better}"


def _unraced(name: str, standings: Standings, choice: Choice, race: Race | None, policy: Policy) -> str:
    if race is not None and choice.ratios is not None:
        told = {rejection.variant: rejection.why for rejection in race.left_out}
        beside = in_passes(name, choice.chosen, standings)
        took = f", and took {number(beside)} times the time of {choice.chosen} in the passes" if beside else ""
        sibling = raced_instead(name, {*choice.raced, *told})
        instead = f"of the repairs of one variant the cheapest enters, here {sibling}"
        why = told.get(name, instead if sibling else f"it was no candidate when the race was run{took}")
        return f"meets the policy, but was not raced: {why}"
    mine, best = (price(standings.find(each).cost, policy) for each in (name, choice.chosen))
    texts = [paid.text if paid else "not measured" for paid in (mine, best)]
    return f"meets the policy, but {texts[0]} against {texts[1]} of {choice.chosen}"


def in_passes(name: str, chosen: str, standings: Standings) -> float | None:
    """A candidate's time over that of the choice, as the passes had both; None where one was not timed there."""
    by = {contender.name: contender.roughly for contender in standings.contenders}
    mine, best = by.get(name), by.get(chosen)
    return mine / best if mine and best else None


def raced_instead(name: str, known: Collection[str]) -> str:
    """Another repaired self of the same variant, which entered the race in its place; empty where none did."""
    native, rung = native_and_rung(name)
    others = [other for other in known if other != name and native_and_rung(other)[0] == native and other != native]
    return min(others, default="") if rung else ""


def advantage(chosen: VariantResult, other: VariantResult, choice: Choice, all_standings: Standings) -> str:
    """What the choice has over another that is as fast, as a clause without its subject."""
    by = {contender.name: contender for contender in all_standings.contenders}
    mine, yours = by[chosen.name], by[other.name]
    match choice.decided_by:
        case "accuracy":
            known = percent(other.accuracy.top1) if other.accuracy else "unknown"
            return f"has the significantly higher accuracy ({percent(top1_of(chosen))} against {known})"
        case "error" if mine.error is not None and yours.error is not None and mine.error < yours.error:
            return f"has less error against the reference ({number(mine.error)} against {number(yours.error)})"
        case "size" if mine.size < yours.size:
            return f"is the smaller artifact ({megabytes(mine.size)} against {megabytes(yours.size)})"
        case "stability":
            return f"is {chosen.verdict}, which the other is not, and loses nothing"
    return "is the leader of the race, all else being equal"


def ratio_text(choice: Choice, name: str) -> str:
    """A contestant's time over the leader's, with its limits."""
    times = choice.times(name)
    return f"{times.median:.2f}" + ("" if times.low95 is None else f" ({times.low95:.2f} to {times.high95:.2f})")


def _agrees(chosen: VariantResult, standings: Standings) -> list[Reason]:
    """How often it gives the reference's answer; nothing of the reference itself (of an ONNX file, the baseline)."""
    is_reference = chosen.baseline and all(variant.role != "reference" for variant in standings.every)
    if is_reference or (chosen.agreement and chosen.agreement.reference == chosen.name):
        return []
    if chosen.agreement is None:
        return [] if chosen.accuracy_drop else [Reason("answers", UNCOMPARED)]
    return [Reason("answers", f"It {sentence(chosen.agreement)}.")]


def _drop(chosen: VariantResult, policy: Policy) -> list[Reason]:
    drop, limit = chosen.accuracy_drop, policy.max_accuracy_drop
    if drop is None or chosen.baseline:
        return []
    asked = f"within the limit of {limit_points(limit)}" if limit is not None else "and no limit is set"
    text = (
        f"Its accuracy drop is {points(drop.value)} on {counted(drop.n, 'image')}, at most "
        f"{points(drop.upper95)} with 95 % confidence, {asked}."
    )
    return [Reason("accuracy", text)]


def _stability(chosen: VariantResult) -> str:
    """The verdict with its evidence, that of the largest set first, as one sentence."""
    if chosen.verdict == "batch-invariant" and chosen.by_inputs:
        largest, *others = sorted(chosen.by_inputs, key=lambda judged: -judged.n_images)
        evidence = f"{_images(largest)} are those of their singles at {_tried(chosen, largest)}"
        if others:
            evidence += f", and those of {listed(f'{_images(other)} at {_tried(chosen, other)}' for other in others)}"
        repeats = sum(comparison.kind == "repeat" for comparison in chosen.comparisons)
        made = counted(sum(verdict.n_comparisons for verdict in chosen.by_inputs) - repeats, "comparison")
        repeated = " No call was repeated." if chosen.repeatable is None else ""
        return f"It is batch-invariant: all bytes of {evidence} ({made}).{repeated}"
    if chosen.decided_by is None:
        return f"It is {chosen.verdict}."
    return f"It is {chosen.verdict}: on {chosen.decided_by.inputs}, {clause(chosen.decided_by.why)}."


def _images(verdict: InputsVerdict) -> str:
    return f"{counted(verdict.n_images, 'image')} of {verdict.inputs}"


def _tried(chosen: VariantResult, verdict: InputsVerdict) -> str:
    kinds = ("batch-vs-singles", "position", "neighbours")
    return sizes(
        comparison.batch_size
        for comparison in chosen.comparisons
        if comparison.kind in kinds and comparison.inputs == verdict.inputs
    )

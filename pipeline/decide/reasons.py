"""The sentences of a recommendation: why this one, and why not each other one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from isobatch.pipeline.compare.statistics import ALPHA
from isobatch.pipeline.decide.agreement import sentence
from isobatch.pipeline.decide.choice import Choice, Contender, clearly_less_error, p_more_accurate, right_answers, small
from isobatch.pipeline.decide.contenders import Standings, is_reference
from isobatch.pipeline.decide.policy import megabytes, price
from isobatch.pipeline.decide.repaired_variants import decided_where, native_and_rung
from isobatch.pipeline.records.study import AtWork, InputsVerdict, Policy, VariantResult
from isobatch.pipeline.records.wording import (
    counted,
    limit_points,
    listed,
    number,
    percent,
    points,
    sizes,
    two_decimals,
    with_limits,
)

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


def because(chosen: VariantResult, standings: Standings, choice: Choice, work: AtWork | None) -> list[Reason]:
    """Stability, accuracy and cost of the choice, one sentence each; then who may be as fast."""
    policy = standings.policy
    said = [Reason("bytes", _stability(chosen)), *_agrees(chosen, standings), *_drop(chosen, policy)]
    cost = cost_text(chosen, work, policy)
    if len(standings.contenders) == 1:
        return [*said, Reason("cost", f"It is the only variant that meets the policy: {cost}.")]
    of = f"Of {len(standings.contenders)} that meet the policy"
    if choice.chosen == choice.leader:
        return [*said, Reason("cost", f"{of} it has {_BEST[policy.objective]}: {cost}."), *undecided(choice)]
    fastest = f"{choice.leader} is the fastest{' of the smallest' if policy.objective == 'size' else ''}"
    return [
        *said,
        Reason("cost", f"{of} {fastest}; {chosen.name} is not measurably slower: {cost}."),
        Reason(_BY.get(choice.decided_by, "other"), f"It {advantage(choice.leader, choice, standings)}."),
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
        most = "" if median.upper95 is None else f" (at most {number(median.upper95, 'up')})"
        return f"{number(median.value or 0.0)}{most} ms for one image, in {counted(work.call_ms.n, 'call')} of the race"
    rounds = counted(work.throughput_img_s.n, "round")
    return f"{with_limits(work.throughput_img_s, number)} img/s at N = {work.batch_size}, in {rounds} of the race"


def why_not(name: str, standings: Standings, choice: Choice) -> str:
    """Why a candidate that meets every demand was not chosen."""
    standing = choice.standings.get(name)
    if standing is None:
        return _unraced(name, standings, choice)
    ratio = ratio_text(choice, name)
    if standing == "slower":
        return f"meets the policy, but takes {ratio} times as long as {choice.leader}"
    if standing == "undecided":
        return f"meets the policy and may be as fast as {choice.leader}, which is not shown: {ratio} times its time"
    better = advantage(name, choice, standings)
    if standing == "leader":
        return f"meets the policy and is the fastest, but {choice.chosen} is not measurably slower and {better}"
    slow = f"not measurably slower than {choice.leader}, at {ratio} times its time"
    return f"meets the policy and is {slow}, but {choice.chosen} {better}"


def _unraced(name: str, standings: Standings, choice: Choice) -> str:
    race, policy = standings.race, standings.policy
    if standings.contender(name) not in eligible(standings):
        mine, best = (megabytes(standings.contender(each).size) for each in (name, choice.chosen))
        return f"meets the policy, but is larger: {mine} against {best} of {choice.chosen}"
    if race is not None and choice.ratios is not None:
        told = {rejection.variant: rejection.why for rejection in race.left_out}
        beside = in_passes(name, choice.chosen, standings)
        took = f", and took {two_decimals(beside)} times the time of {choice.chosen} in the passes" if beside else ""
        sibling = raced_instead(name, {*choice.raced, *told})
        instead = f"of the repairs of one variant the cheapest enters, here {sibling}"
        why = told.get(name, instead if sibling else f"it was no candidate when the race was run{took}")
        return f"meets the policy, but was not raced: {why}"
    timed = policy.model_copy(update={"objective": "throughput"}) if policy.objective == "size" else policy
    prices = (price(standings.find(each).cost, timed) for each in (name, choice.chosen))
    texts = [paid.text if paid else "not measured" for paid in prices]
    return f"meets the policy, but {texts[0]} against {texts[1]} of {choice.chosen}"


def eligible(standings: Standings) -> Sequence[Contender]:
    """Among whom cost decides: those that meet every demand; where size is what is asked for, the small ones."""
    by_size = standings.policy.objective == "size" and standings.contenders
    return small(standings.contenders, standings.policy.cost_margin / 100) if by_size else standings.contenders


def in_passes(name: str, chosen: str, standings: Standings) -> float | None:
    """A candidate's time over that of the choice, as the passes had both; None where one was not timed there."""
    mine, best = (standings.contender(each).roughly for each in (name, chosen))
    return mine / best if mine and best else None


def raced_instead(name: str, known: Collection[str]) -> str:
    """Another repaired self of the same variant, which entered the race in its place; empty where none did."""
    native, rung = native_and_rung(name)
    others = [other for other in known if other != name and native_and_rung(other)[0] == native and other != native]
    return min(others, default="") if rung else ""


def advantage(other: str, choice: Choice, standings: Standings) -> str:
    """What the choice has over another that is as fast, as a clause without its subject."""
    mine, yours = standings.contender(choice.chosen), standings.contender(other)
    decided = choice.decided_by == "accuracy" and other == choice.leader  # by the test that the choice made
    alpha = ALPHA / max(1, len(choice.raced) - 1)
    if (seen := right_answers(mine, yours)) and (decided or p_more_accurate(mine, yours) <= alpha):
        shares = f"{percent(float(seen[0].mean()))} against {percent(float(seen[1].mean()))}"
        unlike = len(seen[0]) < max(len(known.right) for known in (mine, yours) if known.right is not None)
        on = f" on the {len(seen[0])} images that both have seen" if unlike else ""
        return f"has the significantly higher accuracy ({shares}{on})"
    if clearly_less_error(mine, yours):
        if is_reference(standings.find(choice.chosen), standings.every):
            return (
                f"gives the reference's own outputs, from which the other has an error of {number(yours.error or 0.0)}"
            )
        return (
            f"has less error against the reference ({number(mine.error or 0.0)} against {number(yours.error or 0.0)})"
        )
    if mine.size * (1 + standings.policy.cost_margin / 100) < yours.size:
        return f"is the smaller artifact ({megabytes(mine.size)} against {megabytes(yours.size)})"
    if mine.rank < yours.rank:
        return f"is {standings.find(choice.chosen).verdict}, which the other is not"
    if choice.chosen == choice.leader:
        return "is the leader of the race, and the other is not clearly better in accuracy, error or size"
    return f"goes before the leader by its {choice.decided_by}"


def ratio_text(choice: Choice, name: str) -> str:
    """A contestant's time over the leader's, with its limits."""
    return with_limits(choice.times(name), two_decimals)


def _agrees(chosen: VariantResult, standings: Standings) -> list[Reason]:
    """How often it gives the reference's answer; nothing of the reference itself (of an ONNX file, the baseline)."""
    if is_reference(chosen, standings.every):
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
        f"{points(drop.upper95, 'up')} with 95 % confidence, {asked}."
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
    return f"It is {chosen.verdict}: {decided_where(chosen.decided_by, chosen.name)}."


def _images(verdict: InputsVerdict) -> str:
    return f"{counted(verdict.n_images, 'image')} of {verdict.inputs}"


def _tried(chosen: VariantResult, verdict: InputsVerdict) -> str:
    kinds = ("batch-vs-singles", "position", "neighbours")
    return sizes(
        comparison.batch_size
        for comparison in chosen.comparisons
        if comparison.kind in kinds and comparison.inputs == verdict.inputs
    )

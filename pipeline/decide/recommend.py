"""The recommendation: a pure function of the variants' records, the race and a policy."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from isobatch.pipeline.decide.batch_size import roughly
from isobatch.pipeline.decide.cautions import cautions, no_limit
from isobatch.pipeline.decide.choice import Choice, choose
from isobatch.pipeline.decide.contenders import Standings, standings
from isobatch.pipeline.decide.deployment import deployment
from isobatch.pipeline.decide.pareto import pareto_set
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS, describe
from isobatch.pipeline.decide.prices import at_work, price_of_stability, speed_up
from isobatch.pipeline.decide.race import spread_of
from isobatch.pipeline.decide.reasons import advantage, because, ratio_text, why_not
from isobatch.pipeline.decide.repaired_variants import at_most
from isobatch.pipeline.records.study import (
    Policy,
    Race,
    RaceShown,
    Recommendation,
    Rejected,
    Study,
    Sureness,
    VariantResult,
)
from isobatch.pipeline.records.wording import counted, limit_points, listed

ENOUGH_LABELLED = 300
"""At 300 images without one changed answer the exact bound on the drop is 1.6 points: a limit of 2 can be met."""

SURE = 0.8
"""The share of resamples below which the runner-up is called as good."""


def default_policy(n_labelled: int, remedy: str | None = None) -> tuple[Policy, str | None]:
    """The policy where the user states none, with a warning or None; ``n_labelled``: images accuracy was taken on.

    Batch-invariant; a drop of at most 2 points of top-1 where enough labelled images were evaluated, else no limit.
    ``remedy``: what to do where more labels would not help.
    """
    if n_labelled >= ENOUGH_LABELLED:
        return Policy(max_accuracy_drop=DEFAULT_MAX_DROP_POINTS), None
    if not n_labelled:
        give = "Give labels: folders in --inputs DIR, or --labels FILE"
        return Policy(), f"No limit on accuracy is applied: no labelled image was evaluated. {remedy or give}."
    warning = (
        f"No limit on accuracy is applied: {counted(n_labelled, 'labelled image')} evaluated, and fewer than "
        f"{ENOUGH_LABELLED} can hardly show a drop below {limit_points(DEFAULT_MAX_DROP_POINTS)}; one that certainly "
        "exceeds it counts all the same. "
        f"{remedy or 'Give more of them'}, or set a limit with --max-accuracy-drop."
    )
    return Policy(), warning


def labelled_images(study: Study) -> int:
    """How many labelled images the default policy reckons with: where the study took its own, as many as it did.

    A variant whose drop was decided early has seen only some of them.
    """
    decided, asked = study.recommendation, study.config.get("policy", {}).get("max_accuracy_drop")
    if decided is not None and asked is None:
        return ENOUGH_LABELLED if decided.policy.max_accuracy_drop is not None else 0
    return max((variant.accuracy.n for variant in study.variants if variant.accuracy), default=0)


def recommend(variants: Sequence[VariantResult], policy: Policy, race: Race | None = None) -> Recommendation:
    """The cheapest variant or repaired variant that meets the policy, why, and why each other one is not it.

    ``race``: what prices them; None where none was run: the times of the passes decide then, and a warning says so.
    ``chosen`` is None where nothing meets the policy.
    """
    all_standings = standings(variants, policy, race)
    rejected = {name: "; ".join(why) for name, why in all_standings.failing.items() if why}
    if not all_standings.contenders:
        unmet = [f"No variant meets the policy: {describe(policy)}.", *_what_would_help(variants, all_standings)]
        return Recommendation(
            policy=policy,
            chosen=None,
            because=unmet,
            rejected=_in_order(all_standings, rejected),
            ties=[],
            pareto=pareto_set(all_standings.every, policy, all_standings.raced),
            warnings=no_limit(policy, variants),
            race=_shown(race, None),
        )
    choice = _choice(all_standings)
    chosen = all_standings.find(choice.chosen)
    work = at_work(all_standings.raced.get(chosen.name))
    rejected |= {
        contender.name: why_not(contender.name, all_standings, choice)
        + at_most(variants, contender.name, choice.standings.get(contender.name))
        for contender in all_standings.contenders
        if contender.name != chosen.name
    }
    reasons = because(chosen, all_standings, choice, work)
    return Recommendation(
        policy=policy,
        chosen=chosen.name,
        batch_size=_best_n(chosen.name, all_standings),
        because=[reason.text for reason in reasons],
        because_rests_on=[reason.on for reason in reasons],
        rejected=_in_order(all_standings, rejected),
        ties=_ties(all_standings, choice),
        pareto=pareto_set(all_standings.every, policy, all_standings.raced),
        warnings=cautions(chosen, all_standings, choice),
        would_change=_would_change(variants, all_standings, choice),
        deploy=deployment(chosen.name, chosen.device),
        runner_up=choice.runner_up,
        runner_up_batch_size=_best_n(choice.runner_up, all_standings) if choice.runner_up else None,
        sureness=None if choice.share is None else Sureness(share=choice.share, resamples=choice.resamples),
        decided_by=choice.decided_by,
        race=_shown(race, choice),
        at_work=work,
        price_of_stability=price_of_stability(all_standings, chosen.name),
        speed_up=speed_up(all_standings, chosen.name),
        range=chosen.range,
    )


def _best_n(name: str, all_standings: Standings) -> int | None:
    """The N at which the objective is best for the one of that name: in the race, else in the passes."""
    if work := at_work(all_standings.raced.get(name)):
        return work.batch_size
    best = roughly(all_standings.find(name).cost, all_standings.policy)
    return best[0] if best else None


def as_good(decided: Recommendation) -> str | None:
    """The runner-up, where the choice is not sure; None where it is, or where no race says."""
    unsure = decided.sureness is not None and decided.sureness.share < SURE
    return decided.runner_up if unsure else None


def chosen_name(
    variants: Sequence[VariantResult], policy: Policy, race: Race | None, without: Collection[str] = ()
) -> str | None:
    """The name of the choice, without reasons; None where nothing meets the policy."""
    all_standings = standings(variants, policy, race, without)
    return _choice(all_standings).chosen if all_standings.contenders else None


def _choice(all_standings: Standings) -> Choice:
    policy, race = all_standings.policy, all_standings.race
    spread = spread_of(race is not None and race.unsteady)
    return choose(all_standings.contenders, policy.cost_margin / 100, by_size=policy.objective == "size", spread=spread)


def _in_order(all_standings: Standings, rejected: dict[str, str]) -> list[Rejected]:
    return [Rejected(variant=v.name, why=rejected[v.name]) for v in all_standings.every if v.name in rejected]


def _ties(all_standings: Standings, choice: Choice) -> list[str]:
    """Everyone shown to be as fast as the choice."""
    tied = [name for name, s in choice.standings.items() if s in ("leader", "as-fast") and name != choice.chosen]
    if choice.standings.get(choice.chosen) not in ("leader", "as-fast"):
        return []
    at = {name: f"{name} at N = {_best_n(name, all_standings)}" for name in (choice.chosen, *tied)}
    mine = ratio_text(choice, choice.chosen)
    return [
        f"Neither {at[choice.chosen]}, with {mine} times the least time, nor {at[name]}, with "
        f"{ratio_text(choice, name)} times, is measurably slower; {choice.chosen} "
        f"{advantage(name, choice, all_standings)}."
        for name in tied
    ]


def _shown(race: Race | None, choice: Choice | None) -> RaceShown | None:
    if race is None:
        return None
    return RaceShown(
        seconds=race.seconds,
        rounds=race.rounds,
        disturbed=race.disturbed,
        unsteady=race.unsteady,
        ratios={name: choice.times(name) for name in choice.raced} if choice else {},
        standings=choice.standings if choice else {},
    )


_RELAXED: dict[str, dict[str, Any]] = {
    "With --policy top1-stable": {"stability": "top1-stable"},
    "With --policy none": {"stability": "none"},
    "Without --max-accuracy-drop": {"max_accuracy_drop": None},
    "With --min-agreement 0": {"min_agreement": 0.0},
    "Without --max-latency-ms": {"max_latency_ms": None},
    "Without --max-latency-p99-ms": {"max_latency_p99_ms": None},
    "Without --max-size-mb": {"max_size_mb": None},
    "Without --min-throughput": {"min_throughput_img_s": None},
}
_OTHERWISE: dict[str, dict[str, Any]] = {
    "With --policy batch-invariant": {"stability": "batch-invariant"},
    **_RELAXED,
    **{f"With --objective {objective}": {"objective": objective} for objective in ("throughput", "latency", "size")},
}


def _under(
    variants: Sequence[VariantResult], now: Standings, changes: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, Standings]]:
    """How all stand under each change that makes another policy."""
    for change, update in changes.items():
        if (other := now.policy.model_copy(update=update)) != now.policy:
            yield change, standings(variants, other, now.race)


def _what_would_help(variants: Sequence[VariantResult], now: Standings) -> list[str]:
    """Each single demand that, given up, would leave a candidate; else that no single one would."""
    left = {change: [c.name for c in other.contenders] for change, other in _under(variants, now, _RELAXED)}
    if hints := [f"{change}, {listed(names)} would meet it." for change, names in left.items() if names]:
        return hints
    candidates = [variant for variant in variants if variant.status == "measured" and variant.role == "candidate"]
    why = {tuple(now.failing.get(variant.name, ())) for variant in candidates}
    amiss = "; ".join(why.pop()) if len(why) == 1 else ""
    last = f"Of every variant: {amiss}" if amiss else "The reason of each variant says what is amiss."
    return [f"No single demand given up would leave a candidate. {last}"]


def _would_change(variants: Sequence[VariantResult], now: Standings, choice: Choice) -> list[str]:
    """Each single demand or wish that, stated otherwise, would lead to another choice; and to which."""
    texts = []
    for change, left in _under(variants, now, _OTHERWISE):
        otherwise = _choice(left) if left.contenders else None
        if otherwise is None:
            texts.append(f"{change}, nothing would be left.")
        elif otherwise.chosen != choice.chosen:
            roughly_so = ", by the times of the passes" if choice.ratios and not otherwise.ratios else ""
            texts.append(f"{change}, {otherwise.chosen} would be chosen{roughly_so}.")
    return texts

"""A study planned into the time it is given: what is most valuable first, and what is left out said."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from isobatch.models.registry import find_variant
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.stage import BESIDE_S
from isobatch.pipeline.workers.pool import WorkerError

LEAST_RACE_S = 10.0
_REPORTS_S = 8.0  # writing them, between the stages and at the end
_VERDICTS = 0.7  # of the time at most for the verdicts, where it is too short for all


@dataclass(frozen=True)
class Fit:
    """What there is time for after the verdicts. ``race_s``: 0 for no race."""

    accuracy: bool
    race_s: float
    certify: bool
    explain: bool


def fit(left_s: float, race_s: float, *, accuracy_s: float, range_s: float, explanation_s: float) -> Fit:
    """What fits into so many seconds, most valuable first: accuracy, a race, its choice verified, origins and repairs.

    A race is shortened before it is left out. ``race_s``: what was asked for; the others: what each is to take.
    """
    left_s -= _REPORTS_S
    accuracy = accuracy_s <= left_s
    left_s -= accuracy_s if accuracy else 0.0
    raced = min(race_s, left_s - BESIDE_S) if race_s and left_s - BESIDE_S >= min(race_s, LEAST_RACE_S) else 0.0
    if raced and left_s - raced - BESIDE_S < range_s:
        raced = max(min(race_s, LEAST_RACE_S), left_s - BESIDE_S - range_s)
    left_s -= raced + BESIDE_S if raced else 0.0
    certify = range_s <= left_s
    left_s -= range_s if certify else 0.0
    return Fit(accuracy, raced, certify, explanation_s <= left_s)


def within_evidence(stages: Stages, jobs: Sequence[Job], begin: float) -> list[Job]:
    """The jobs of as many variants as the time is enough for, the cheapest and the baseline first.

    ``begin``: of the study, by ``time.monotonic``. A variant that is left out is recorded as one that was not run.
    """
    budget_s = stages.config.budget_s
    if budget_s is None:
        return list(jobs)
    costs: dict[str, float] = {}
    for job in jobs:
        spent = cost(find_variant(job.variant), job.images_passed, job.condition.image_size)
        costs[job.variant] = costs.get(job.variant, 0.0) + spent
    left_s = _VERDICTS * (budget_s - (time.monotonic() - begin))
    taken: set[str] = set()
    for name in sorted(costs, key=lambda variant: (variant != baseline(stages.config), costs[variant])):
        if not taken or costs[name] <= left_s:
            taken.add(name)
            left_s -= costs[name]
    for name in (variant for variant in costs if variant not in taken):
        why = f"left out: --budget gives {budget_s:g} s, and its passes alone take about {costs[name]:.0f} s"
        stages.fail(name, WorkerError(why, "VariantUnavailable", "give it more time, or name fewer --variants"))
    return [job for job in jobs if job.variant in taken]


def within_rest(stages: Stages, begin: float, pace: float) -> bool:
    """Plan what follows the verdicts into the time that is left, and warn of what is not. Whether accuracy is measured.

    ``pace``: real seconds for one of those that ``stages.outlook`` reckons with.
    """
    config, expected = stages.config, stages.outlook.expected
    if config.budget_s is None:
        return True
    costs = {name: stage.cost * pace for name, stage in expected.items()}
    left_s = config.budget_s - (time.monotonic() - begin)
    plan = fit(
        left_s,
        config.race_s,
        accuracy_s=costs.get("accuracy", 0.0),
        range_s=costs.get("range", 0.0),
        explanation_s=costs.get("explanation", 0.0),
    )
    out = [
        "" if plan.accuracy else "accuracy and agreement with labels",
        "" if plan.race_s or not config.race_s else "the race",
        f"the race beyond {plan.race_s:.0f} s" if 0 < plan.race_s < config.race_s else "",
        "" if plan.certify or not config.certify else "verifying the choice over its range",
        "" if plan.explain or config.explain == "none" else "origins and repairs",
    ]
    if left_out := [text for text in out if text]:
        stages.warn("budget", f"--budget {config.budget_s:g} s left no time for {'; '.join(left_out)}")
    stages.config = replace(
        config,
        race_s=plan.race_s,
        certify=config.certify if plan.certify else (),
        explain=config.explain if plan.explain else "none",
    )
    return plan.accuracy

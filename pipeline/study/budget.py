"""A study planned into the time it is given: what is most valuable first, and what is left out said.

Planned anew before each stage that can be left out or cut short, from what the stages before really took.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from isobatch.models.registry import find_variant
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.stage import BESIDE_S, usual_s
from isobatch.pipeline.records.study import Race
from isobatch.pipeline.study.labelled import USUAL_LOOKS
from isobatch.pipeline.study.measure import Rounds
from isobatch.pipeline.workers.pool import WorkerError

LEAST_RACE_S = 10.0
_VERDICTS = 0.7  # of the time at most for the verdicts, where it is too short for all
_WITH_TIES = 2  # times the seconds of its batches, as layers are placed on rounding ties too
_ROUNDING_S = 1e-3
_JOB_S = 1.0  # of a worker beside its calls, before any has run


@dataclass(frozen=True)
class Needs:
    """Seconds that what may still come is to take. ``beside_s``: of a race, beside its rounds; 0: nothing of the kind.

    ``race_s``: what most races take, within what was asked for.
    """

    reports_s: float = 0.0
    accuracy_s: float = 0.0
    race_s: float = 0.0
    beside_s: float = 0.0
    range_s: float = 0.0
    explanation_s: float = 0.0


@dataclass(frozen=True)
class Fit:
    """What there is time for. ``race_s``: for its rounds at the most, 0 for no race."""

    accuracy: bool
    race_s: float
    certify: bool
    explain: bool


def fit(left_s: float, needs: Needs) -> Fit:
    """What fits into so many seconds, most valuable first: accuracy, a race, its choice verified, origins and repairs.

    A race is shortened to ``LEAST_RACE_S`` before it, or verifying its choice, is left out.
    """
    left_s -= needs.reports_s
    accuracy = needs.accuracy_s <= left_s
    left_s -= needs.accuracy_s if accuracy else 0.0
    least, most = min(needs.race_s, LEAST_RACE_S), left_s - needs.beside_s
    raced = min(needs.race_s, max(least, most - needs.range_s)) if needs.race_s and most >= least else 0.0
    left_s -= raced + needs.beside_s if raced else 0.0
    certify = needs.range_s <= left_s + _ROUNDING_S
    left_s -= needs.range_s if certify else 0.0
    return Fit(accuracy, raced, certify, needs.explanation_s <= left_s)


class Clock:
    """What the stages of a study have time for. Without ``--budget`` that is everything, and nothing is changed."""

    def __init__(self, stages: Stages, begin: float) -> None:
        """``begin``: of the study, by ``time.monotonic``."""
        self._stages, self._begin, self._budget_s = stages, begin, stages.config.budget_s
        self._variants: dict[str, _Passes] = {}
        self._verdicts_until = self._passes_began = self._race_asked_s = 0.0
        self._call, self._job_s = 1.0, _JOB_S  # real seconds of a rough one of calls, and of a worker beside them
        self._image_s = 0.0  # that an image took in the fastest variant

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        assert self._budget_s is not None
        return self._budget_s - (time.monotonic() - self._begin)

    def plan(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs of as many variants as the time is enough for, the baseline's first, then the cheapest.

        A variant that is left out is recorded as one that was not run.
        """
        if self._budget_s is None:
            return list(jobs)
        for job in jobs:
            self._variants.setdefault(job.variant, _Passes()).add(job)
        first = baseline(self._stages.config)
        order = sorted(self._variants, key=lambda name: (name != first, self._variants[name].seconds))
        left_s = whole_s = _VERDICTS * self.left_s
        self._verdicts_until = time.monotonic() + left_s
        for place, name in enumerate(order):
            expected = self._variants[name].seconds
            if place and expected > left_s:
                there = f"{max(0.0, left_s):.0f} of the {whole_s:.0f} s that passes may take are left"
                self._leave_out(name, f"{there}, and its own take about {expected:.0f} s")
            else:
                left_s -= expected
        if self._stages.config.thorough:  # whose order lets slow drift cancel
            return [job for job in jobs if job.variant not in self._stages.failures]
        taken = [name for name in order if name not in self._stages.failures]
        return sorted((job for job in jobs if job.variant in taken), key=lambda job: taken.index(job.variant))

    def too_late(self, variant: str) -> bool:
        """Whether the variant, asked when a job of it is to begin, is left out, as what has run took longer than was
        planned; it is recorded then. One that has begun is finished.
        """
        if self._budget_s is None or self._variants[variant].begun:
            return False
        begun = [passes for passes in self._variants.values() if passes.begun]
        now = time.monotonic()
        if not begun:
            self._passes_began = now
        pace = (now - self._passes_began) / max(1.0, sum(passes.seconds for passes in begun))
        if begun and now + self._variants[variant].seconds * max(1.0, pace) > self._verdicts_until:
            there = max(0.0, self._verdicts_until - now)
            self._leave_out(
                variant, f"{there:.0f} s were left for passes when its turn came, too few at the pace so far"
            )
            return True
        self._variants[variant].begun = True
        return False

    def _leave_out(self, variant: str, why: str) -> None:
        reason = f"left out: --budget gives {self._budget_s:g} s, and {why}"
        remedy = "give it more time, or name fewer --variants"
        self._stages.fail(variant, WorkerError(reason, "VariantUnavailable", remedy))

    def learn(self, rounds: Rounds) -> None:
        """This machine's pace, from the calls of the evidence and, where none of it was kept, its stage's seconds."""
        rough = calls_s = 0.0
        jobs = 0
        each: dict[str, list[float]] = {}
        for (variant, _, condition), every in rounds.items():
            for evidence in every:
                images = sum(p.stop - p.start for p in evidence.passes)
                rough += cost(find_variant(variant), images, condition.image_size)
                spent = sum(map(sum, evidence.call_s.values())) + sum(evidence.warm_up_s)
                each.setdefault(variant, []).append(spent / images)
                calls_s += spent
                jobs += 1
        if jobs:
            self._call = calls_s / rough
            self._image_s = min(map(min, each.values()))
            if not self._stages.kept_jobs and self._stages.most_workers == 1:  # else they overlapped
                self._job_s = max(0.0, self._stages.seconds["evidence"] - calls_s) / jobs

    def accuracy_fits(self, report_s: float) -> bool:
        """Whether accuracy is measured, where it is not kept. ``report_s``: what the last report took."""
        if self._budget_s is None or (accuracy := self._cost("accuracy")) == 0:
            return True
        jobs = USUAL_LOOKS * (1 + len(self._stages.specs))
        needs = replace(self._needs(report_s, 4), accuracy_s=accuracy + jobs * self._job_s)
        return self._within("accuracy and agreement with labels", fit(self.left_s, needs).accuracy)

    def plan_explanation(self, report_s: float) -> None:
        """Whether origins and repairs are sought: only where a race and verifying its choice have time as well."""
        if self._budget_s is not None and self._stages.config.explain != "none":
            needs = replace(self._needs(report_s, 3), explanation_s=self._cost("explanation"))
            if not self._within("origins and repairs", fit(self.left_s, needs).explain):
                self._stages.config = replace(self._stages.config, explain="none")

    def plan_race(self, report_s: float) -> None:
        """How long the race may take, and whether its choice is verified."""
        if self._budget_s is None:
            return
        config = self._stages.config
        needs = replace(self._needs(report_s, 2), race_s=config.race_s)
        planned = fit(self.left_s, needs)
        if config.race_s:
            self._within("the race", planned.race_s > 0)
        if config.certify:
            self._within("verifying the choice over its range", planned.certify)
        certify = config.certify if planned.certify else ()
        self._stages.config = replace(config, race_s=planned.race_s, certify=certify)
        self._race_asked_s = config.race_s

    def raced(self, race: Race | None) -> None:
        """Say so where the race ended with the time that it was given, and was to have had more."""
        given_s = self._stages.config.race_s
        if race is not None and given_s < self._race_asked_s:
            self._within(f"the race beyond {given_s:.0f} s", race.seconds - race.waited_s < given_s)

    def _needs(self, report_s: float, reports: int) -> Needs:
        """What a race, verifying its choice and so many reports need."""
        config = self._stages.config
        beside_s = min(BESIDE_S, self._job_s * (len(self._stages.specs) + 2)) if config.race_s else 0.0
        usual = max(0.0, usual_s(config) - BESIDE_S)
        images = max(config.certify, default=0) + 2 * sum(config.certify)
        range_s = self._job_s + _WITH_TIES * images * self._image_s if images else 0.0
        return Needs(report_s * reports, 0.0, usual, beside_s, range_s)

    def _cost(self, stage: str) -> float:
        expected = self._stages.outlook.expected.get(stage)
        return expected.fixed + (expected.cost - expected.fixed) * self._call if expected else 0.0

    def _within(self, what: str, fits: bool) -> bool:
        if not fits:
            self._stages.warn("budget", f"--budget {self._budget_s:g} s left no time for {what}")
        return fits


@dataclass
class _Passes:
    """The passes of one variant. ``seconds``: about what they take, by the usual pace."""

    seconds: float = 0.0
    begun: bool = False

    def add(self, job: Job) -> None:
        self.seconds += cost(find_variant(job.variant), job.images_passed, job.condition.image_size) + _JOB_S

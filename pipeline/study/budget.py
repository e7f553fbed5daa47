"""A study planned into the time it is given: what is most valuable first, and what is left out said.

Planned anew before each variant and each stage that can be left out, from what was really taken so far.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from isobatch.models.registry import find_variant
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.certify.stage import unverified
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.prepare.artifacts import REFERENCE, baseline
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.race.field import Wanted, field
from isobatch.pipeline.race.stage import BESIDE_S
from isobatch.pipeline.records.study import Policy, Race, VariantResult
from isobatch.pipeline.study.explain import explanation_ahead
from isobatch.pipeline.study.fit import LEAST_RACE_S, Needs, what_fits
from isobatch.pipeline.study.jobs import rough_cost
from isobatch.pipeline.study.labelled import USUAL_LOOKS
from isobatch.pipeline.study.measure import Rounds
from isobatch.pipeline.study.tasks import job_cost

_VERDICTS = 0.7  # of the time at most for the verdicts, where it is too short for all
_WITH_TIES = 2  # times the seconds of its batches, as layers are placed on rounding ties too
_EXPORT_S = 8.0  # of a network as an ONNX graph, once: measured with ResNet50; on a busy machine ResNet18 took 7 to 13
_TO_BUILD = 2.0  # times as long as building takes running it, or less: with ResNet50 1.9 and 2.1, all variants together
_JOB_S = 1.0  # of a worker beside its calls, before any has run
_DECIDED_S = 25.0  # of a race: on a quiet machine most are decided by then
_SETTLES_S, _ROOM = 1.0, 4  # of a race: what no call explains, and times its calls, as disturbed rounds are repeated
_EXPLAINED_JOBS = 8  # whose time beside their calls is as long as what explaining a variant takes beside the network


class Clock:
    """What a study has time for. Without ``--budget`` that is everything, and nothing is changed."""

    def __init__(self, stages: Stages) -> None:
        self._stages, self._budget_s = stages, stages.config.budget_s
        self._in_order: list[str] = []  # the variants, most valuable first
        self._rough: dict[str, float] = {}  # seconds of their passes, before they are built
        self._builds: list[float] = []  # when each began, by ``time.monotonic``
        self._passes_s: dict[str, float] = {}  # of each variant, by the usual pace; without what is kept
        self._begun: set[str] = set()
        self._verdicts_until = self._passes_began = self._asked_s = self._race_asked_s = 0.0
        self._range_fits = True
        self._call, self._job_s = 1.0, _JOB_S  # real seconds of a rough one of calls, and of a worker beside them
        self._image_s = 0.0  # that an image took in the fastest variant

    @property
    def left_s(self) -> float:
        """Seconds that are left; what earlier starts of this run took is spent."""
        assert self._budget_s is not None
        return self._budget_s - self._stages.run.spent_s

    def in_order(self, specs: Sequence[VariantSpec]) -> list[VariantSpec]:
        """The variants as they are built: the baseline first, then the reference, then the cheapest to run."""
        if self._budget_s is None:
            return list(specs)
        first = (baseline(self._stages.config), REFERENCE)
        self._rough = {spec.name: rough_cost(self._stages, spec, _JOB_S) for spec in specs}
        ordered = sorted(specs, key=lambda spec: (*(spec.name != name for name in first), self._rough[spec.name]))
        onnx = self._stages.config.onnx is not None  # of which no torch variant is built
        self._in_order = [spec.name for spec in ordered if not (onnx and spec.runtime == "torch")]
        return ordered

    def before_building(self, spec: VariantSpec) -> None:
        """Raise WorkerError where there is no time to build the variant, as long as others took, and to run it after
        those before it. The baseline and the reference are always built.
        """
        if self._budget_s is None:
            return
        self._builds.append(time.monotonic())
        each_s = median([end - start for start, end in pairwise(self._builds)] or [0.0])
        built = [find_variant(variant) for variant, _ in self._stages.artifacts]
        if spec in built or spec.name in (baseline(self._stages.config), REFERENCE):
            return
        graph = self._stages.config.onnx or any(other.runtime != "torch" for other in built)
        export_s = 0.0 if graph or spec.runtime == "torch" else _EXPORT_S
        order = self._in_order[: self._in_order.index(spec.name) + 1]
        passes = [self._rough[name] for name in order if name not in self._stages.failures]
        passes_s = sum(min(seconds, _TO_BUILD * each_s) for seconds in passes)
        if each_s + export_s + passes_s / _VERDICTS > self.left_s:
            there = f"{max(0.0, self.left_s):.0f} s were left when it was to be built"
            raise self._leave_out(spec.name, f"{there}, too few to run it as well, after {len(passes) - 1} others")

    def plan(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs most valuable first: the baseline's, then the cheapest, by what earlier starts left of them."""
        if self._budget_s is None:
            return list(jobs)
        for job in jobs:
            kept = self._stages.run.evidence_file(job.variant, job.file_name).is_file()
            self._passes_s[job.variant] = self._passes_s.get(job.variant, 0.0) + (0.0 if kept else _usual_s(job))
        first = baseline(self._stages.config)
        self._in_order = sorted(self._passes_s, key=lambda name: (name != first, self._passes_s[name]))
        self._verdicts_until = time.monotonic() + _VERDICTS * self.left_s
        if self._stages.config.thorough:  # whose order lets slow drift cancel
            return list(jobs)
        return sorted(jobs, key=lambda job: self._in_order.index(job.variant))

    def too_late(self, jobs: Sequence[Job]) -> bool:
        """Whether a variant, asked when these jobs of it are to begin, is left out, as at the pace so far it would end
        too late; it is recorded then. The first one runs in any case, and one that has begun is finished.
        """
        if self._budget_s is None:
            return False
        self._stages.run.keep_time()
        variant, now = jobs[0].variant, time.monotonic()
        self._passes_began = self._passes_began if self._asked_s else now
        if variant not in self._begun and variant != self._in_order[0]:
            pace = (now - self._passes_began) / self._asked_s if self._asked_s else 1.0
            begun_s = sum(self._passes_s[name] for name in self._begun)
            there_s = self._verdicts_until - self._passes_began - pace * begun_s
            if (own_s := pace * self._passes_s[variant]) > there_s:
                left = f"{max(0.0, there_s):.0f} s were left for passes when its turn came"
                self._stages.fail(variant, self._leave_out(variant, f"{left}, and its own take about {own_s:.0f} s"))
                return True
        self._begun.add(variant)
        self._asked_s += sum(map(_usual_s, jobs))
        return False

    def _leave_out(self, variant: str, why: str) -> WorkerError:
        self._stages.left_out.append(variant)
        reason = f"left out: --budget gives {self._budget_s:g} s, and {why}"
        return WorkerError(reason, "VariantUnavailable", "give it more time, or name fewer --variants")

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
        expected = self._stages.outlook.expected.get("accuracy")
        if self._budget_s is None or expected is None or expected.cost == 0:
            return True
        jobs = USUAL_LOOKS * (1 + len(self._stages.specs))
        needs = replace(self._needs(report_s, 4), accuracy_s=expected.cost * self._call + jobs * self._job_s)
        return self._within("accuracy", "accuracy and agreement with labels", what_fits(self.left_s, needs).accuracy)

    def plan_explanation(self, results: Sequence[VariantResult], policy: Policy, report_s: float) -> None:
        """Whether origins and repairs are sought: only where a race and verifying its choice have time as well."""
        if self._budget_s is None or self._stages.config.explain == "none":
            return
        variants, calls_s = explanation_ahead(self._stages, results, policy)
        explanation_s = calls_s * self._call + variants * _EXPLAINED_JOBS * self._job_s
        wanted = field(results, policy, None)[0]  # before repairs
        needs = replace(self._needs(report_s, 3, wanted), explanation_s=explanation_s)
        if variants and not self._within("explanation", "origins and repairs", what_fits(self.left_s, needs).explain):
            self._stages.config = replace(self._stages.config, explain="none")

    def plan_race(self, results: Sequence[VariantResult], policy: Policy, report_s: float) -> None:
        """How long the race may take, and whether its choice is verified."""
        if self._budget_s is None:
            return
        config = self._stages.config
        wanted = field(results, policy, None)[0] if config.race_s else []
        raced, needs = len(wanted), self._needs(report_s, 2, wanted)
        planned = what_fits(self.left_s, replace(needs, race_s=config.race_s if raced else 0.0))
        limits = (policy.max_latency_ms, policy.max_latency_p99_ms, policy.min_throughput_img_s)
        if raced > 1 or (raced and any(limit is not None for limit in limits)):  # else it decides nothing
            self._within("race", "the race", planned.race_s > 0)
        self._range_fits = planned.certify or not config.certify
        certify = config.certify if planned.certify else ()
        self._race_asked_s = config.race_s if raced else 0.0
        self._stages.config = replace(config, race_s=planned.race_s if raced else config.race_s, certify=certify)

    def raced(self, results: Sequence[VariantResult], policy: Policy, race: Race | None) -> None:
        """Say so where the race ended with the time that it was given, and was to have had more; and where its choice
        would have been verified.
        """
        given_s = self._stages.config.race_s
        if race is not None and given_s < self._race_asked_s and race.seconds - race.waited_s >= given_s:
            self._warn(f"the race beyond {given_s:.0f} s")
        if not self._range_fits and unverified(results, policy, race):
            self._within("range", "verifying the choice over its range", False)

    def _needs(self, report_s: float, reports: int, wanted: Sequence[Wanted] = ()) -> Needs:
        """What a race (of those ``wanted``, as far as is known), verifying its choice and so many reports need."""
        config = self._stages.config
        beside_s = min(BESIDE_S, self._job_s * (len(self._stages.specs) + 2)) if config.race_s else 0.0
        least_s, usual_race_s = LEAST_RACE_S, min(config.race_s, _DECIDED_S)
        if wanted:
            round_s = sum(2 * one.seconds * max(one.sizes) for one in wanted)  # an untimed call, then the timed one
            rounds_s = _SETTLES_S + _ROOM * LOOKS[0] * round_s
            least_s, usual_race_s = min(least_s, rounds_s), min(usual_race_s, 2 * rounds_s)
        images = max(config.certify, default=0) + 2 * sum(config.certify)
        range_s = self._job_s + _WITH_TIES * images * self._image_s if images else 0.0
        return Needs(report_s * reports, 0.0, usual_race_s, beside_s, range_s, least_race_s=least_s)

    def _within(self, stage: str, what: str, fits: bool) -> bool:
        if not fits:
            self._stages.left_out.append(stage)
            self._warn(what)
        return fits

    def _warn(self, what: str) -> None:
        self._stages.warn("budget", f"--budget {self._budget_s:g} s left no time for {what}")


def _usual_s(job: Job) -> float:
    return job_cost(job) + _JOB_S

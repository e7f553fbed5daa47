"""The ``switches`` command: every switch of a variant turned in processes of its own, judged, and priced in turn."""

from dataclasses import dataclass
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.words import RunnerSettings, VariantSpec
from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import read_environment, worker_settings
from isobatch.pipeline.machine.switches import Switch, switches_of
from isobatch.pipeline.prepare.by_itself import prepared
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Progress, Stages
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.race.contestant import LiveContestant
from isobatch.pipeline.race.rounds import Entry, race
from isobatch.pipeline.records.study import Interval, Tool
from isobatch.pipeline.tools.switches.crossing import Held, SwitchAsked
from isobatch.pipeline.tools.switches.records import SwitchesReport, SwitchResult, VariantSwitches

_HOLD = "isobatch.pipeline.tools.switches.in_worker:hold"
_CONTEST = "isobatch.pipeline.tools.switches.in_worker:contest_switched"
_ROUNDS = LOOKS[0]  # of calls in turn, at each N
_PRICE_S = 10.0  # for each switch and N
_TURN_S = 60.0
AS_SHIPPED = Switch("as shipped", ())


def measure_switches(config: Config, progress: Progress) -> SwitchesReport:
    """Every switch of every variant of the configuration. Raises UsageError for input that cannot be used."""
    with prepared(config, progress) as (stages, _, _):
        assert stages.weights is not None
        variants = [_variant(stages, find_variant(name)) for name in stages.config.variants]
        return SwitchesReport(
            tool=Tool(version=VERSION),
            environment=read_environment(stages.threads, {}, worker_settings(stages.threads)),
            model=stages.weights.model,
            weights=stages.weights.source,
            threads=stages.threads,
            batch_sizes=[n for n in stages.config.batch_sizes if n > 1],
            variants=variants,
        )


def _variant(stages: Stages, spec: VariantSpec) -> VariantSwitches:
    if failure := stages.failures.get(spec.name):
        return VariantSwitches(variant=spec.name, runtime=spec.runtime, status=failure.status, reason=failure.reason)
    prepared = next(s for s in reversed(stages.sets) if (spec.name, s.record.name) in stages.artifacts)
    bench = _Bench(stages, spec, prepared)
    return VariantSwitches(
        variant=spec.name,
        runtime=spec.runtime,
        status="measured",
        inputs=prepared.record.name,
        n_images=len(prepared.evaluation),
        image_size=tuple(prepared.evaluation.shape[2:]),
        results=tuple(bench.all()),
    )


@dataclass
class _Bench:
    """One variant on one input set, as shipped and under each of its switches."""

    stages: Stages
    spec: VariantSpec
    prepared: PreparedSet
    singles: str = ""  # the sum of the singles as shipped

    def all(self) -> list[SwitchResult]:
        """As shipped first; what fails there fails for all."""
        shipped = self._judged(AS_SHIPPED)
        if shipped.status == "failed":
            return [shipped]
        entries = [shipped]
        with self._contestant(AS_SHIPPED) as contestant:
            base = self._entry(AS_SHIPPED, contestant)
            base.open()
            for switch in switches_of(self.spec.runtime, self.spec.compiled):
                result = self._judged(switch)
                entries.append(
                    result
                    if result.status == "failed"
                    else result.model_copy(update={"ratio": self._price(base, switch)})
                )
        return entries

    def _environment(self, switch: Switch) -> dict[str, str]:
        threads = 1 if switch.one_thread else self.stages.threads
        return worker_settings(threads) | dict(switch.environment)

    def _payload(self, switch: Switch) -> dict[str, Any]:
        images = self.prepared.evaluation
        threads = 1 if switch.one_thread else self.stages.threads
        return SwitchAsked(
            variant=self.spec.name,
            settings=RunnerSettings(threads),
            artifact=self.stages.artifacts[self.spec.name, self.prepared.record.name],
            images=images,
            examples=images,
            delivery=None,
            most=min(max(self.stages.config.batch_sizes), len(images)),
            runtime=self.spec.runtime,
            options=switch.options,
            batch_sizes=tuple(self.stages.config.batch_sizes),
        ).to_json()

    def _judged(self, switch: Switch) -> SwitchResult:
        """The property, in two processes: the second repeats the first."""
        label = f"{self.spec.name}: {switch.name}"
        seconds_each = cost(self.spec, 1, self.prepared.evaluation.side)

        def told(event: dict[str, Any]) -> None:
            self.stages.progress.step(label, seconds_each * Told.of(event).images)

        self.stages.progress.step(label, 0.0)
        environment, payload = self._environment(switch), self._payload(switch)
        try:
            first, second = (Held.of(self.stages.workers.call(environment, _HOLD, payload, told)) for _ in range(2))
        except WorkerError as error:
            return SwitchResult(switch=switch.name, asked=asked(switch), status="failed", reason=error.reason)
        if switch is AS_SHIPPED:
            self.singles = first.singles
        repeatable = (first.singles, first.sums) == (second.singles, second.sums)
        differing = sorted(n for n, rows in first.differing.items() if rows)
        read = first.read.get(switch.reads)
        return SwitchResult(
            switch=switch.name,
            asked=asked(switch),
            set=(read == switch.expected) if switch.reads else None,
            read_back=f"{switch.reads}: {read}" if switch.reads else None,
            repeatable=repeatable,
            holds=repeatable and not differing,
            differing_at=tuple(differing),
            top1_flips=sum(first.flipped.values()),
            moves_bits=None if switch is AS_SHIPPED else first.singles != self.singles,
            n_comparisons=first.comparisons,
        )

    def _contestant(self, switch: Switch) -> LiveContestant:
        return LiveContestant(self.stages.workers, self._environment(switch), self._payload(switch), _CONTEST)

    def _entry(self, switch: Switch, contestant: LiveContestant) -> Entry:
        return Entry(switch.name, contestant, 1, _TURN_S, max(_TURN_S, self.stages.config.timeout_s))

    def _price(self, base: Entry, switch: Switch) -> dict[str, Interval]:
        """By N the ratio of calls made in turn, each with the other one stopped; empty where it dropped out."""
        ratios, images = {}, len(self.prepared.evaluation)
        priced = sorted({1, max((n for n in self.stages.config.batch_sizes if n <= images), default=1)})
        with self._contestant(switch) as contestant:
            entry = self._entry(switch, contestant)
            entry.open()
            for n in priced:
                self.stages.progress.step(f"{self.spec.name}: {switch.name}, calls in turn, N = {n}", 0.0)
                for side in (base, entry):
                    side.batch_size = n
                    side.call_s.clear()
                race([base, entry], _PRICE_S, lambda tally: tally.rounds >= _ROUNDS, patience_s=0.0)
                if entry.call_s and len(entry.call_s) == len(base.call_s):
                    pairs = zip(entry.call_s, base.call_s, strict=True)
                    ratios[str(n)] = median_interval([mine / shipped for mine, shipped in pairs])
        return ratios


def asked(switch: Switch) -> str:
    """How it is asked for, in a word."""
    if switch.environment:
        return "environment"
    if switch.one_thread:
        return "threads"
    return "option" if switch.options else "nothing"

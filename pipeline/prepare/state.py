"""What the stages of a study share: the configuration, the run, the workers, and what has gone wrong so far."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from isobatch.models.registry import find_variant
from isobatch.models.shared.regular_files import Altered
from isobatch.models.spec.artifact_cache import require_intact
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.words import Artifact, Network, VariantSpec
from isobatch.pipeline.config.conditions import Caps, GridPoint, base, base_of
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.emulation import emulated
from isobatch.pipeline.machine.environment import cpu_flags, worker_settings
from isobatch.pipeline.machine.isa_caps import flags_under
from isobatch.pipeline.prepare.outlook import NOTHING, After, Outlook
from isobatch.pipeline.prepare.run_folder import Run
from isobatch.pipeline.processes.engines import Engine
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.records.errors import StoreError
from isobatch.pipeline.records.study import NotRun, VariantResult, Warning_, Weights


class Progress(Protocol):
    """Where a study tells how far it is. Costs are rough seconds."""

    def plan(self, total_cost: float, after: After = NOTHING, *, real: bool = False) -> None:
        """Announce the cost of what comes now, and ``after`` it; may be called again with a better estimate.

        ``real``: this cost is in seconds that no pace changes.
        """

    def step(self, label: str, cost_done: float, beside: int = 0) -> None:
        """Say what is being done, and how much of the cost since the last step. ``beside``: how much else is."""

    def line(self, text: str) -> None:
        """Say one thing worth keeping on the screen."""

    def still(self) -> AbstractContextManager[None]:
        """Within it nothing is drawn but at a step."""

    def verdict(self, result: VariantResult) -> None:
        """Show one variant's verdict, as soon as it is known."""


@dataclass(frozen=True)
class Failure:
    """Why a variant has no result."""

    status: Literal["unavailable", "failed"]
    reason: str
    remedy: str | None


@dataclass
class Stages:
    """The state of a running study. Stages read it and add to it; ``study.py`` knows their order."""

    config: Config
    run: Run
    cache: Path
    workers: Workers
    progress: Progress
    engine: Engine
    weights: Weights | None = None
    network: Network | None = None
    outcome: Outcome = CLASSES
    sets: tuple[PreparedSet, ...] = ()
    artifacts: dict[tuple[str, str], Artifact] = field(default_factory=dict)  # (variant, input set)
    reference_files: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by input set the reference's singles
    failures: dict[str, Failure] = field(default_factory=dict)
    not_run: dict[str, list[NotRun]] = field(default_factory=dict)
    warnings: list[Warning_] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # for which a budget left no time: variants, and stages
    seconds: dict[str, float] = field(default_factory=dict)
    kept_jobs: int = 0
    most_workers: int = 1  # at once
    no_export: WorkerError | None = None  # why no ONNX graph can be made of the network, once that was tried
    without_fp64: bool = False  # the network does not run in float64: another variant is the reference
    caps: Caps = field(default_factory=Caps)
    device: Mapping[str, str] = field(default_factory=dict)  # the facts of the GPU; empty on the CPU
    outlook: Outlook = field(default_factory=Outlook)

    def announce(self, stage: str, cost: float, *, real: bool = False) -> None:
        """Tell the progress display what this stage costs, with what is expected to follow it."""
        self.progress.plan(cost, self.outlook.after(stage), real=real)

    @property
    def threads(self) -> int:
        """The thread count of everything that is not itself measured over thread counts."""
        return max(self.config.threads)

    @property
    def base(self) -> GridPoint:
        """The setting of accuracy and cost on the CPU."""
        return base(self.config)

    def base_of(self, spec: VariantSpec) -> GridPoint:
        """The setting of a variant's accuracy and cost, where it runs: under the first ISA that acts on its runtime."""
        return base_of(self.config, spec, self.caps)

    def emulated(self, spec: VariantSpec) -> bool:
        """Whether a variant's arithmetic is emulated under its base setting; see ``pipeline.machine.emulation``."""
        return self.emulated_under(spec, self.base_of(spec))

    def emulated_under(self, spec: VariantSpec, point: GridPoint) -> bool:
        """Whether a variant's arithmetic is emulated under this setting, for what its cap hides."""
        return point.device == "cpu" and emulated(spec, flags_under(point.isa, cpu_flags()))

    @property
    def specs(self) -> list[VariantSpec]:
        """The variants asked for that have not failed, in table order."""
        return [find_variant(name) for name in self.config.variants if name not in self.failures]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Account the wall time of a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin

    def call(self, function: str, payload: Any, label: str) -> Any:
        """A call in a worker of the study's environment; what it says goes to the progress display."""

        def on_event(event: Any) -> None:
            if text := Told.of(event).say:
                self.progress.line(f"{label}: {text}")

        return self.workers.call(worker_settings(self.threads), function, payload, on_event)

    def fail(self, variant: str, error: WorkerError) -> None:
        """Record that a variant cannot go on; the others do.

        Raises StoreError where its artifact is no longer what was built: that is no fault of the variant, and the run
        stays unfinished.
        """
        if error.kind != "VariantUnavailable":
            for artifact in {a.folder: a for (name, _), a in self.artifacts.items() if name == variant}.values():
                try:
                    require_intact(artifact)
                except Altered as altered:
                    raise StoreError(str(altered)) from altered
        failure = Failure("unavailable" if error.kind == "VariantUnavailable" else "failed", error.reason, error.remedy)
        self.failures[variant] = failure
        self.progress.line(f"{variant}: {failure.status}: {error.reason}")
        if self.config.debug and error.trace:
            self.progress.line(error.trace)

    def skip(self, variant: str, inputs: str, what: str, why: str, **how: bool) -> None:
        """Record a part of a variant's plan that was not run, and why: a ``NotRun``, each once. ``how``: its flags."""
        left_out = NotRun(inputs=inputs, what=what, why=why, **how)
        if left_out not in self.not_run.setdefault(variant, []):
            self.not_run[variant].append(left_out)

    def warn(self, code: str, text: str) -> None:
        """Add a warning with its stable code."""
        if all(w.code != code or w.text != text for w in self.warnings):
            self.warnings.append(Warning_(code=code, text=text))

"""What the stage that explains and repairs asks of the worker that looks inside a variant, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.config.config import Explain
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.explain.reproducer.write import Reproducer
from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.records.study import Growth, NeighbourEffect
from isobatch.pipeline.repair.crossing import Attempt


@dataclass(frozen=True)
class LookAsked(Crossing):
    """One variant on one input set."""

    variant: str
    settings: RunnerSettings
    isa: str
    artifact: Artifact
    images: Images
    also: tuple[Images, ...]  # the other sets that the artifact serves, on which a repair is verified
    batch_sizes: tuple[int, ...]
    seed: int
    explain: Explain = "default"
    repair: bool = True
    thorough: bool = False
    cannot_win: str = ""  # why a repair can not be the choice, "" where it may be
    outcome: Outcome = CLASSES
    objective: str = "throughput"  # what a repair is to cost least of
    # By set the files that hold the reference's singles, where its answers are to be compared.
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    run_folder: str = ""  # where it writes; told last
    repair_s: float = 0.0  # what others leave of the time; told last


@dataclass(frozen=True)
class LayerSeen(Crossing):
    """What replaying one layer showed: see ``findings.LayerFinding``."""

    layer: str
    kind: str
    signature: str
    differing: Mapping[int, int]
    batch_sizes: tuple[int, ...]
    classes: tuple[tuple[int, ...], ...]
    tried: int
    max_abs: float
    max_abs_relative: float | None
    max_ulp: float
    found_by: Any  # as an ``Origin`` has it; None where no difference was found
    replayable: bool
    explained: Explanation | None


@dataclass(frozen=True)
class Looked(Crossing):
    """What was found inside."""

    locatable: bool
    why: str = ""  # it could not be looked into, and only whole calls were repaired
    batch_sizes: tuple[int, ...] = ()
    findings: tuple[LayerSeen, ...] = ()
    growth: tuple[Growth, ...] = ()
    instrumented_equal: bool = True
    reproducers: Mapping[str, Reproducer] | None = None
    neighbour_effect: NeighbourEffect | None = None
    tried: tuple[Attempt, ...] | None = None  # of the ladder of repairs; None where the study was asked not to repair
    repair_s: float = 0.0

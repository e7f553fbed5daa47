"""What a repair asks of its worker, and what the worker tells of the candidates that it tried."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.spec.change import AS_BEFORE, Change, OwnThreads
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.words import Artifact
from isobatch.pipeline.processes.wire import Crossing, Told
from isobatch.pipeline.repair.verify import Verified

UNREPAIRED = "native"
"""Stands for a rung where the network is batch-invariant as it is."""


@dataclass(frozen=True)
class Attempt(Crossing):
    """One candidate of a rung."""

    name: str  # of the rung
    why: str = ""  # why the rung has none
    how: str = ""
    bitwise: bool = True
    layers: tuple[str, ...] = ()
    serving: OwnThreads = AS_BEFORE
    change: Change | None = None  # how the repaired network is made again
    sha256: str | None = None  # of a rewritten graph
    holds: bool | None = None  # whether it kept what it is to keep, over all of the scope; None: it was not run
    verified: tuple[Verified, ...] = ()
    ratios: Mapping[int, tuple[float, ...]] = field(default_factory=dict)  # seconds repaired over native by N, rising
    recomputed: float | None = None
    out_of_time: bool = False
    too_dear: bool = False  # not verified: by a few timed calls it cannot win
    failed: bool = False  # it could not be carried out, as ``why`` says

    @property
    def as_native(self) -> bool:
        """Whether its outputs for single images are, byte by byte, the native ones, as far as it was run."""
        return all(result.singles_as_native for result in self.verified)


@dataclass(frozen=True)
class RepairAsked(Crossing):
    """A variant to be repaired over a scope."""

    variant: str
    artifact: Artifact
    sets: tuple[Images, ...]
    threads: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    seed: int
    rung: str | None  # the only one to try
    objective: str
    folder: str  # where to write the repaired network
    native: str  # where to write the network as it is, beside it
    outcome: Outcome


@dataclass(frozen=True)
class RepairMade(Crossing):
    """What was tried, and which was written."""

    tried: tuple[Attempt, ...]
    chosen: int | None  # the index in ``tried`` of the one that was written; None: none was
    serving: Mapping[str, Any]  # what has to be set to serve the written network
    unwritten: tuple[str, ...]  # why others were not
    native: Mapping[str, Any] | None = (
        None  # as ``serving``, of the network as it is; None where it could not be written
    )


@dataclass(frozen=True)
class RepairTold(Told):
    """What the worker tells on its way."""

    doing: str = ""  # what comes now
    more: bool = False  # another candidate begins

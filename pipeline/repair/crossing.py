"""What a repair asks of its worker, and what the worker tells of the candidates that it tried."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.words import Artifact
from isobatch.pipeline.repair.verify import Verified
from isobatch.pipeline.workers.wire import Crossing, Told

UNREPAIRED = "native"
"""Stands for a rung where the network is batch-invariant as it is."""


@dataclass(frozen=True)
class Attempt(Crossing):
    """One candidate of a rung, or ``why`` the rung has none.

    ``change`` of ``rungs.Candidate`` and ``sha256`` of a rewritten graph: how the repaired network is made again.
    """

    name: str  # of the rung
    why: str = ""
    how: str = ""
    bitwise: bool = True
    layers: tuple[str, ...] = ()
    serving: Mapping[str, int] | None = None
    change: Mapping[str, Any] | None = None
    sha256: str | None = None
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
    """A variant to be repaired over a scope. ``rung``: the only one to try; ``folder`` and ``native``: where to write
    the repaired network and, beside it, the network as it is.
    """

    variant: str
    artifact: Artifact
    sets: tuple[Images, ...]
    threads: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    seed: int
    rung: str | None
    objective: str
    folder: str
    native: str
    outcome: Outcome


@dataclass(frozen=True)
class RepairMade(Crossing):
    """What was tried, and which was written: its index in ``tried``, or None; ``unwritten``: why others were not.

    ``serving`` and ``native``: what has to be set to serve the written network, and the network as it is (None where
    it could not be written).
    """

    tried: tuple[Attempt, ...]
    chosen: int | None
    serving: Mapping[str, Any]
    unwritten: tuple[str, ...]
    native: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RepairTold(Told):
    """What the worker tells on its way; ``doing``: what comes now, ``more``: another candidate begins."""

    doing: str = ""
    more: bool = False

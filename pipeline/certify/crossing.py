"""What is asked of the worker that verifies a range, and what it tells on its way."""

from dataclasses import dataclass
from typing import Literal

from isobatch.models.spec.images import Images
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.workers.wire import Crossing

Kind = Literal["batch", "copies"]


@dataclass(frozen=True)
class RangeAsked(Opening):
    """Every N of ``sizes`` of what is opened, for ``seconds`` at most; ``labelled``: sets that fill up the batches."""

    sizes: tuple[int, ...]
    labelled: tuple[Images, ...]
    seed: int
    seconds: float
    ties: bool


@dataclass(frozen=True)
class BatchRun(Crossing):
    """One batch of N, of distinct images ("batch") or "copies": rows whose bytes differ, and whose top-1 does."""

    n: int
    kind: Kind
    differing: int
    flipped: int


@dataclass(frozen=True)
class TiesRun(Crossing):
    """Integer layers on rounding ties at one N: how many layers, output elements, and those that differ."""

    n: int
    layers: int
    elements: int
    differing: int
    kind: str = "ties"

"""What is asked of the worker that verifies a range, and what it tells on its way."""

from dataclasses import dataclass
from typing import Literal

from isobatch.models.spec.images import Images
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.workers.wire import Crossing

RangeKind = Literal["batch", "copies", "ties"]


@dataclass(frozen=True)
class RangeAsked(Opening):
    """Every N of ``sizes`` of what is opened, for ``seconds`` at most; ``labelled``: sets that fill up the batches."""

    sizes: tuple[int, ...]
    labelled: tuple[Images, ...]
    seed: int
    seconds: float
    ties: bool


@dataclass(frozen=True)
class ComparisonRan(Crossing):
    """One comparison at N: of a batch of distinct images, or of copies of one, the rows whose bytes differ, and whose
    top-1 does; of so many integer ``layers`` on rounding ties, of so many output ``elements`` those that differ.
    """

    n: int
    kind: RangeKind
    differing: int
    flipped: int = 0
    layers: int = 0
    elements: int = 0

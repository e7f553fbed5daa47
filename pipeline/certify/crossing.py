"""What is asked of the worker that verifies a range, and what it tells on its way."""

from dataclasses import dataclass
from typing import Literal

from isobatch.models.spec.images import Images
from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.race.crossing import Opening

RangeKind = Literal["batch", "copies", "ties"]


@dataclass(frozen=True)
class RangeAsked(Opening):
    """Every N of a range of what is opened."""

    sizes: tuple[int, ...]  # the N
    labelled: tuple[Images, ...]  # sets that fill up the batches
    seed: int
    seconds: float  # at most
    ties: bool


@dataclass(frozen=True)
class Filled(Crossing):
    """How many images are the input set's own, labelled ones, and drawn ones: see the record ``FilledWith``."""

    own: int
    labelled: int = 0
    drawn: int = 0


@dataclass(frozen=True)
class ComparisonRan(Crossing):
    """One comparison at N: of a batch of distinct images, of copies of one image, or of layers on rounding ties."""

    n: int
    kind: RangeKind
    differing: int  # rows whose bytes differ; on ties output elements
    flipped: int = 0  # rows whose top-1 differs
    layers: int = 0  # integer layers put on ties
    elements: int = 0  # of their output, compared


@dataclass(frozen=True)
class RangeTold(Crossing):
    """What the worker tells on its way: where the images are from, once; then each comparison."""

    filled_with: Filled | None = None
    ran: ComparisonRan | None = None

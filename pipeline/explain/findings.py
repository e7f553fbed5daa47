"""What locating found: of each layer, and of all."""

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from isobatch.models.spec.runner import Canonical, Closed, Inspectable, Layer, Runner
from isobatch.pipeline.compare.batch_classes import classes_of


@runtime_checkable
class Watched(Runner, Inspectable, Protocol):
    """A runner that can be looked into."""


def why_closed(runner: Any, variant: str) -> str:
    """Why the origins of a runner's differences are not sought, in words; "" where it can be looked into."""
    if isinstance(runner, Watched):
        return ""
    said = runner.why_closed() if isinstance(runner, Closed) else ""
    return f"the graph of {variant} cannot be looked into" + (f": {said}" if said else "")


@dataclass
class LayerFinding:
    """What replaying one layer showed."""

    layer: Layer
    differing: dict[int, int] = field(default_factory=dict)  # output elements whose bytes depend on N, by batch size
    tried: int = 0
    max_abs: float = 0.0
    max_ulp: float = 0.0
    found_by: str | None = None
    replayable: bool = True
    inherited: tuple[int, ...] = ()  # batch sizes at which only a sibling differed
    largest: float = 0.0  # |value| of the rows alone
    digests: dict[int, NDArray[Any]] = field(default_factory=dict)  # by N one for each row, over all that was tried

    @property
    def batch_sizes(self) -> list[int]:
        """The N at which some row differed from N = 1, here or in a sibling."""
        return sorted({*self.inherited, *(n for n, count in self.differing.items() if count)})

    @property
    def size(self) -> float:
        """The largest difference on the network's own data, over the largest value; NaN counts as infinite."""
        share = self.max_abs / self.largest if self.largest else self.max_abs
        return math.inf if math.isnan(share) else share

    @property
    def classes(self) -> list[list[int]]:
        """The N tried in sets whose rows are bitwise equal to one another; what only ties showed is one set."""
        apart = self.batch_sizes
        if not self.digests:
            return [part for part in (sorted({1, *self.differing} - {*apart}), apart) if part]
        sets = classes_of(self.digests)
        alone = next(prepared for prepared in sets if 1 in prepared)
        ties = [n for n in apart if n in alone or not any(n in prepared for prepared in sets)]
        kept = [[n for n in prepared if n not in ties] for prepared in sets]
        return sorted([*kept, *([ties] if ties else [])])

    def rule(self) -> Canonical:
        """The shape that is sure to give N = 1's bytes and costs a single image nothing.

        Up to the largest N below which every N was tried and none differed, calls go through; more rows are cut into
        the largest power of two below that.
        """
        up_to = 1
        while up_to + 1 in self.differing and up_to + 1 not in self.batch_sizes:
            up_to += 1
        return Canonical(size=1 << (up_to.bit_length() - 1), up_to=up_to)


@dataclass
class Located:
    """All layers in execution order, and whether looking inside changed the output."""

    findings: dict[str, LayerFinding]
    instrumented_bitwise_equal: bool = True
    # of the first image: layer, max_abs, relative L2, steps
    growth: list[tuple[str, float, float, int | None]] = field(default_factory=list)

    @property
    def origins(self) -> list[LayerFinding]:
        """What depends on N of itself, the largest difference on the network's own data first."""
        guilty = [finding for finding in self.findings.values() if finding.batch_sizes]
        return sorted(guilty, key=lambda finding: -finding.size)

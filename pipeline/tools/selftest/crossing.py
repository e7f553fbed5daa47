"""What the self-test asks of its workers, and what they answer."""

from dataclasses import dataclass

from isobatch.pipeline.compare.statistics import rate_upper
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class FaultAsked(Crossing):
    """A planted fault, by its name, to be looked for."""

    fault: str
    threads: int
    seed: int


@dataclass(frozen=True)
class Examined(Crossing):
    """What was found in the network of a fault. ``named``: its origins; the rest is of the layer that holds the fault.

    ``explained``: None where it was not named; ``differing`` of ``tried`` elements.
    """

    named: tuple[str, ...]
    explained: Explanation | None
    layers: int = 0
    found_by: str | None = None
    differing: int = 0
    tried: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class InnocentsAsked(Crossing):
    """So many networks of random design, from ``seed`` on, in which no layer depends on N."""

    trials: int
    threads: int
    seed: int


@dataclass(frozen=True)
class Accused(Crossing):
    """The layers that were named in the network of one seed."""

    seed: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Innocence(Crossing):
    """Of ``trials`` networks in which no layer depends on N, those that were accused all the same.

    ``layers`` were looked at, by comparing ``tried`` elements.
    """

    trials: int
    accused: tuple[Accused, ...]
    layers: int
    tried: int

    @property
    def upper95(self) -> float:
        """Exact one-sided bound on the rate of false accusations."""
        return rate_upper(len(self.accused), self.trials)

"""What the self-test asks of its workers, and what they answer."""

from dataclasses import dataclass

from isobatch.pipeline.compare.statistics import rate_upper
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.processes.wire import Crossing


@dataclass(frozen=True)
class FaultAsked(Crossing):
    """A planted fault, by its name, to be looked for."""

    fault: str
    threads: int
    seed: int


@dataclass(frozen=True)
class Examined(Crossing):
    """What was found in the network of a fault; all but ``named`` is of the layer that holds the fault."""

    named: tuple[str, ...]  # the network's origins
    explained: Explanation | None  # None where it was not named
    layers: int = 0
    found_by: str | None = None
    differing: int = 0  # elements
    tried: int = 0  # elements
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
    """Networks in which no layer depends on N, and those that were accused all the same."""

    trials: int  # networks
    accused: tuple[Accused, ...]
    layers: int  # that were looked at
    tried: int  # elements that were compared

    @property
    def upper95(self) -> float:
        """Exact one-sided bound on the rate of false accusations."""
        return rate_upper(len(self.accused), self.trials)

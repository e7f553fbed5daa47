"""What ``switches`` asks of a worker that turns one, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.race.crossing import Opening


@dataclass(frozen=True)
class SwitchAsked(Opening):
    """What is opened with a switch of a runtime turned, and the N at which it is run."""

    runtime: str = field(kw_only=True)
    options: Mapping[str, Any] = field(kw_only=True)
    batch_sizes: tuple[int, ...] = field(kw_only=True)


@dataclass(frozen=True)
class Held(Crossing):
    """What the passes of a verdict showed under a switch."""

    read: Mapping[str, str]  # what is in effect
    singles: str  # the SHA-256 of the singles
    sums: Mapping[str, str]  # of every pass's rows, by its id
    differing: Mapping[int, int]  # rows that differ from their singles, by N
    flipped: Mapping[int, int]  # rows with another top-1, by N
    comparisons: int

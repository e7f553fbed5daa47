"""What ``switches`` asks of a worker that turns one, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class SwitchAsked(Opening):
    """What is opened with the ``options`` of a switch of ``runtime`` turned, and the N at which it is run."""

    runtime: str = field(kw_only=True)
    options: Mapping[str, Any] = field(kw_only=True)
    batch_sizes: tuple[int, ...] = field(kw_only=True)


@dataclass(frozen=True)
class Held(Crossing):
    """What the passes of a verdict showed under a switch.

    ``read``: what is in effect. ``singles``: the SHA-256 of the singles; ``sums``: of every pass's rows, by its id.
    ``differing``: rows that differ from their singles, by N; ``flipped``: rows with another top-1, by N.
    """

    read: Mapping[str, str]
    singles: str
    sums: Mapping[str, str]
    differing: Mapping[int, int]
    flipped: Mapping[int, int]
    comparisons: int

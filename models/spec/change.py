"""What a repair changes, as values: by them it crosses to a worker, is written in a report, and is done again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isobatch.models.spec.plain import Plain

Scales = Literal["static", "per-sample", "power-of-two"]
"""Activation scales that the batch has no part in: from example images, from each sample alone, rounded up to 2**k."""


@dataclass(frozen=True)
class Canonical:
    """How a layer is run so that its rows cannot depend on N: in calls of exactly ``size`` rows, a last one padded.

    ``up_to``: calls of ``least`` to so many rows are one class with ``size`` already: they go through unchanged, and a
    last part of as many needs no padding (0: none). Fewer rows than ``least`` are padded to ``least``.
    """

    size: int
    up_to: int = 0
    least: int = 1


@dataclass(frozen=True)
class Change(Plain):
    """What is done to a live network: nothing, or one of these.

    ``canonical``: rules by layer.
    ``scales``: the kind of activation scales, taken from so many ``examples``.
    ``switches``: options of the library.
    ``one_graph``: none of its own for a single image.
    ``recheck``: images up to this margin run again alone.
    """

    canonical: Mapping[str, Canonical] | None = None
    scales: Scales | None = None
    examples: int = 1
    switches: Mapping[str, Any] | None = None
    one_graph: bool = False
    recheck: float | None = None


UNCHANGED = Change()


@dataclass(frozen=True)
class OwnThreads(Plain):
    """Threads inside operators that a repair needs (0: as many as without it), and images run at a time, each alone."""

    threads: int = 0
    streams: int = 1


AS_BEFORE = OwnThreads()


@dataclass(frozen=True)
class Remade(Plain):
    """How a repaired network is made again from the native one."""

    change: Change = UNCHANGED
    serving: OwnThreads = AS_BEFORE

"""What the race and its contestants' workers tell each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from isobatch.models.spec.change import Remade
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.processes.wire import Crossing


@dataclass(frozen=True)
class Opening(Crossing):
    """What a worker opens as it is shipped: a variant, or its repaired self made again."""

    variant: str
    settings: RunnerSettings
    artifact: Artifact
    images: Images
    examples: Images  # on which the repair was found
    delivery: Remade | None
    outcome: Outcome = field(default=CLASSES, kw_only=True)
    most: int = field(kw_only=True)  # the largest N that it is given


@contextmanager
def near(path: Path) -> Iterator[str]:
    """A short path to a socket inside this block, by way of its folder: its own may have 107 bytes at most."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@dataclass(frozen=True)
class Listening(Crossing):
    """Where the race waits for a contestant to connect: the path of its socket."""

    socket: str


@dataclass(frozen=True)
class Ready(Crossing):
    """A contestant is open: its process, and how long opening took."""

    pid: int
    load_s: float


@dataclass(frozen=True)
class TurnAsked(Crossing):
    """One untimed call of ``n`` images, then so many timed ones."""

    n: int
    calls: int


@dataclass(frozen=True)
class Turn(Crossing):
    """The timed calls of one turn."""

    seconds: tuple[float, ...]  # of each call
    waited_s: tuple[float | None, ...]  # how long the threads of each call waited; None: the kernel does not tell
    peak_memory_bytes: int  # the most that the worker has held so far; 0 where the kernel does not tell

"""The native network with one thread: no partition of the work can depend on N."""

from collections.abc import Iterator
from operator import methodcaller

from isobatch.models.spec.change import OwnThreads
from isobatch.models.spec.repairable import Streaming
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung


def applies_to(bench: Bench) -> str:
    """Needs several threads to give up."""
    if bench.threads == 1:
        return "it runs on one thread already"
    return "" if isinstance(bench.runner, Streaming) else "its threads cannot be set"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The one way."""
    yield Candidate(methodcaller("with_threads", 1, 1), "one thread", serving=OwnThreads(1))


RUNG = Rung(order=40, question="Is the network batch-invariant with one thread?", applies_to=applies_to, apply=apply)

"""The native network with one thread: no partition of the work can depend on N."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung
from isobatch.pipeline.repair.rungs._threads import NO_THREADS, on_streams, rethreadable


def applies_to(bench: Bench) -> str:
    """Needs several threads to give up."""
    if bench.threads == 1:
        return "it runs on one thread already"
    return "" if rethreadable(bench.runner) else NO_THREADS


def apply(bench: Bench) -> Iterator[Candidate]:
    """The one way."""
    yield Candidate(partial(on_streams, 1), "one thread", serving={"threads": 1})


RUNG = Rung(
    name="one-thread",
    order=40,
    question="Is the network batch-invariant with one thread?",
    applies_to=applies_to,
    apply=apply,
)

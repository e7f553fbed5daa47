"""Images one at a time, as many at once as there were threads."""

from collections.abc import Iterator
from operator import methodcaller

from isobatch.models.spec.change import OwnThreads
from isobatch.models.spec.repairable import Streaming
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung


def applies_to(bench: Bench) -> str:
    """Needs several threads to divide."""
    if bench.threads == 1:
        return "there is one thread, so one worker: that is pin-shape with one image"
    return "" if isinstance(bench.runner, Streaming) else "its threads cannot be set"


def apply(bench: Bench) -> Iterator[Candidate]:
    """As many workers as threads."""
    how = f"{counted(bench.threads, 'worker')} of one thread, each with one image at a time"
    yield Candidate(methodcaller("with_threads", 1, bench.threads), how, serving=OwnThreads(1, bench.threads))


RUNG = Rung(
    order=60,
    question="Is it enough to run every image alone, on several workers of one thread each?",
    applies_to=applies_to,
    apply=apply,
)

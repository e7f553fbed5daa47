"""How the work is shared between threads: gone with one thread."""

from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.interventions import Threaded
from isobatch.models.spec.runner import Rows
from isobatch.pipeline.explain.causes import Cause, Finding, Subject, gone_with


def probe(subject: Subject) -> Finding:
    """Replay the same rows alone and together with one thread."""

    def replay(rows: Rows) -> NDArray[Any]:
        with subject.runner.one_thread():
            return subject.replay(rows)

    return gone_with(subject, "With one thread", replay, f"with {subject.threads} threads")


CAUSE = Cause(
    role="trigger",
    order=120,
    question="Is the difference gone when the layer runs with one thread?",
    if_supported="with one thread N = 1 and N = k give the same bytes, with the study's threads they do not",
    if_refuted="with one thread they differ as well",
    # runs with several threads, in runners that can do with one
    applies_to=lambda subject: subject.threads > 1 and isinstance(subject.runner, Threaded),
    probe=probe,
)

"""Whether the layer gives the same rows twice at all: randomness and state are no matter of the batch."""

from isobatch.pipeline.evidence.mixing import unsteady
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.records.wording import counted


def probe(subject: Subject) -> Finding:
    """Make the same call three times, the third after one with the rows in another order."""
    changed, size = differing(subject), subject.together.size
    if not changed:
        return Finding(
            "refuted",
            f"Three equal calls at N = {subject.batch}, one after a call with other rows, gave the same bytes.",
        )
    return Finding(
        "supported",
        f"Of three equal calls at N = {subject.batch} some differ in {counted(changed, 'element')} of {size}.",
    )


def differing(subject: Subject) -> int:
    """Output elements in which equal calls of this layer differ."""
    rows = subject.rows(0, subject.batch)
    return subject.known("unsteady", lambda: unsteady(lambda given: (subject.replay(given),), rows))


CAUSE = Cause(
    role="mechanism",
    order=1,
    question="Does the same call, made again, give other bytes: right away, or after a call with other rows?",
    if_supported="the layer draws random numbers or remembers earlier calls; that it depends on N is not shown",
    if_refuted="the same call gives the same bytes, whatever came before it",
    applies_to=lambda subject: True,  # everywhere
    probe=probe,
)

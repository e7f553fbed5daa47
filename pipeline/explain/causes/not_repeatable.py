"""Whether the layer gives the same rows twice at all: randomness and state are no matter of the batch."""

import numpy as np

from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import rows_at
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
    return subject.known("unsteady", lambda: _differing(subject))


def _differing(subject: Subject) -> int:
    rows = subject.rows(0, subject.batch)
    first, again = subject.replay(rows), subject.replay(rows)
    subject.replay(rows_at(rows, np.roll(np.arange(subject.batch), 1), subject.batch))
    third = subject.replay(rows)
    if first.shape != again.shape or first.shape != third.shape:
        return first.size
    return int(np.count_nonzero((bits(first) != bits(again)) | (bits(first) != bits(third))))


CAUSE = Cause(
    role="mechanism",
    order=1,
    question="Does the same call, made again, give other bytes: right away, or after a call with other rows?",
    if_supported="Yes: the layer draws random numbers or remembers earlier calls; that it depends on N is not shown.",
    if_refuted="No: the same call gives the same bytes, whatever came before it.",
    applies_to=lambda subject: True,  # everywhere
    probe=probe,
)

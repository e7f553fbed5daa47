"""Whether all that differs is the sign of zeros, which no difference of values shows."""

import numpy as np

from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.records.wording import counted


def probe(subject: Subject) -> Finding:
    """Look at the values of the elements whose bytes differ."""
    alone, together = (side[subject.differing].astype(np.float64) for side in (subject.alone, subject.together))
    zeros = int(((alone == 0) & (together == 0)).sum())
    text = f"Of {counted(len(alone), 'differing element')} {zeros} are 0.0 in one call and -0.0 in the other."
    return Finding("supported" if zeros == len(alone) else "refuted", text)


CAUSE = Cause(
    role="mechanism",
    order=90,
    question="Are all elements that differ zeros, of another sign alone than in the batch?",
    if_supported=("0.0 against -0.0: bytes differ and values do not, until something divides by them or asks the sign"),
    if_refuted="values differ",
    # where these rows show the difference, and are floats
    applies_to=lambda subject: subject.together.dtype.kind not in "iub" and bool(subject.differing.any()),
    probe=probe,
)

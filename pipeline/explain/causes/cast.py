"""A 16-bit layer whose difference comes with the conversions around its arithmetic: gone where nothing is converted."""

import numpy as np

from isobatch.models.spec.interventions import Widened
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.explain.causes import Cause, Finding, Subject, alone
from isobatch.pipeline.explain.causes._wider_type import Wider
from isobatch.pipeline.records.wording import out_of


def applies_to(subject: Subject) -> bool:
    """Layers whose results are floats of 16 bits."""
    return isinstance(subject.runner, Widened) and subject.together.dtype.name in ("float16", "bfloat16")


def probe(subject: Subject) -> Finding:
    """Run the same rows, converted once, in float32, alone and together."""
    before = int(subject.differing.sum())
    if not before:
        return Finding("inconclusive", "These rows show no difference.")
    rows, name = subject.rows(0, subject.batch), subject.layer.name
    wider = Wider(subject.runner, "float32")
    single = alone(wider, name, rows, subject.batch, subject.place)
    together = np.atleast_1d(wider.replay(name, rows)[subject.place])
    after = int((bits(single) != bits(together)).sum())
    evidence = (
        f"In float32 {out_of(after, together.size, 'output element', 'differ')} between N = 1 and N = {subject.batch}, "
        f"in {subject.together.dtype.name} {before:,}."
    )
    return Finding("refuted" if after else "supported", evidence)


CAUSE = Cause(
    role="trigger",
    order=130,
    question="Is the difference gone when the layer runs in float32, so that nothing is cast from and to 16 bits?",
    if_supported="Yes: without the casts N = 1 and N = k give the same bytes.",
    if_refuted="No: in float32 they differ as well, and the cast only makes the difference coarser.",
    applies_to=applies_to,
    probe=probe,
)

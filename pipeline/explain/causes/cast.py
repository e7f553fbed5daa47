"""A 16-bit layer whose difference comes with the conversions around its arithmetic: gone where nothing is converted."""

from isobatch.models.spec.interventions import Widened
from isobatch.pipeline.explain.causes import Cause, Finding, Subject, gone_with
from isobatch.pipeline.explain.causes._wider_type import wider


def probe(subject: Subject) -> Finding:
    """Run the same rows, converted once, in float32, alone and together."""
    return gone_with(subject, "In float32", wider(subject, "float32"), f"in {subject.together.dtype.name}")


CAUSE = Cause(
    role="trigger",
    order=130,
    question="Is the difference gone when the layer runs in float32, so that nothing is cast from and to 16 bits?",
    if_supported="without the casts N = 1 and N = k give the same bytes",
    if_refuted="in float32 they differ as well, and the cast only makes the difference coarser",
    # layers whose results are floats of 16 bits
    applies_to=lambda subject: (
        isinstance(subject.runner, Widened) and subject.together.dtype.name in ("float16", "bfloat16")
    ),
    probe=probe,
)

"""Static activation scales rounded up to powers of two, which make the multiplications of the epilogue exact."""

from __future__ import annotations

from collections.abc import Iterator

from isobatch.models.spec.repairable import Rescalable
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung
from isobatch.pipeline.repair.rungs._scales import with_scales


def applies_to(bench: Bench) -> str:
    """Needs quantized activations."""
    return "" if isinstance(bench.runner, Rescalable) else "it has no activation scales"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The one way."""
    yield with_scales("power-of-two", bench, "activation scales rounded up to powers of two")


RUNG = Rung(
    name="pow2-scale",
    order=30,
    question="Is the network batch-invariant with activation scales that are powers of two?",
    applies_to=applies_to,
    apply=apply,
)

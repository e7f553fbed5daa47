"""Dynamic quantization with scales fixed beforehand, from example images."""

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
    yield with_scales("static", bench, "activation scales fixed over example images")


RUNG = Rung(
    name="static-scale",
    order=15,
    question="Is the network batch-invariant with activation scales that were fixed beforehand?",
    applies_to=applies_to,
    apply=apply,
)

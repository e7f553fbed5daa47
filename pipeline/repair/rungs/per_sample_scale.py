"""Dynamic quantization with one scale for each sample in place of one for the batch."""

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
    yield with_scales("per-sample", bench, "activation scales of each sample alone")


RUNG = Rung(
    name="per-sample-scale",
    order=10,
    question="Is the network batch-invariant if every sample is quantized as it would be alone?",
    applies_to=applies_to,
    apply=apply,
)

"""Dynamic quantization with scales fixed beforehand, from example images."""

from __future__ import annotations

from collections.abc import Iterator

from isobatch.models.spec.repairable import Rescalable
from isobatch.pipeline.repair.rungs import Bench, Candidate
from isobatch.pipeline.repair.rungs._scales import with_scales

NAME = "static-scale"
ORDER = 15
QUESTION = "Is the network batch-invariant with activation scales that were fixed beforehand?"


def applies_to(bench: Bench) -> str:
    """Needs quantized activations."""
    return "" if isinstance(bench.runner, Rescalable) else "it has no activation scales"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The one way."""
    yield with_scales("static", bench, "activation scales fixed over example images")

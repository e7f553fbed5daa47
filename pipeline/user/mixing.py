"""What is said of a network that itself mixes examples: see ``isobatch.pipeline.evidence.mixing`` for the control."""

from __future__ import annotations

from isobatch.pipeline.user.origins import Start

LEAK = "neighbour-leak"
MECHANISMS = (LEAK, "wrong-row", "dynamic-scale")
REMEDY = (
    "let it compute from each example alone (batch norms on their running statistics; means, sums and scales over the "
    "other axes only)"
)


def mechanism_of(mixing: bool, start: Start | None) -> str:
    """Why rows depend on the batch: as named at the largest origin, unless that does not account for the mixing."""
    if not mixing:
        return start.mechanism if start else ""
    return start.mechanism if start and start.mechanism in MECHANISMS else LEAK


def shapes_may_repair(mixing: bool, start: Start | None) -> bool:
    """Whether a repair is worth trying: not of a network that mixes examples, unless by a dynamic quantization."""
    return not mixing or bool(start and start.of_quantization)

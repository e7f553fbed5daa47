"""Whether a quantized layer clips: by how many of how many activations, not by a share alone."""

from collections.abc import Callable, Iterable, Iterator

from isobatch.pipeline.compare.statistics import rate_lower
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.records.wording import counted, percent

CLIP_LIMIT, CLIP_SEEN, CLIPPED = 0.01, 1000, 20
"""Outputs are not worth comparing where a quantized layer surely has more than this share of its activations at the
clip limits: of at least so many values seen, at least so many clipped, and a 95 % lower bound above the share."""


def clipping(evidence: Iterable[Evidence]) -> str | None:
    """Why a variant is invalid on this evidence, naming the layer that surely clips most; None where none does."""
    sure = largest_clip(evidence, _is_clipping)
    if sure is None:
        return None
    layer, share = sure
    return (
        f"Layer {layer} has {percent(share)} of its activations at the clip limits of its 8-bit range, "
        f"more than {percent(CLIP_LIMIT)}: outputs this distorted say nothing about batching."
    )


def clip_notes(evidence: Iterable[Evidence]) -> list[str]:
    """What is to be said of layers that clip more than the limit on too few values to reject a variant for it."""
    unsure = {
        layer: (lost, seen)
        for layer, lost, seen in _clips(evidence)
        if lost > CLIP_LIMIT * seen and not _is_clipping(lost, seen)
    }
    return [
        f"layer {layer} has {percent(lost / seen)} of {counted(seen, 'activation')} at the clip limits of its 8-bit "
        "range: too few to say that it clips; more images would tell"
        for layer, (lost, seen) in unsure.items()
    ]


def _is_clipping(lost: int, seen: int) -> bool:
    """Whether a layer surely clips more than the limit."""
    return seen >= CLIP_SEEN and lost >= CLIPPED and rate_lower(lost, seen) > CLIP_LIMIT


def _clips(evidence: Iterable[Evidence]) -> Iterator[tuple[str, int, int]]:
    """Each quantized layer of each condition: its name, how many values are at a limit, and of how many."""
    for part_evidence in evidence:
        yield from ((layer, lost, seen) for layer, (lost, seen) in (part_evidence.clips or {}).items())


def largest_clip(
    evidence: Iterable[Evidence], among: Callable[[int, int], bool] = lambda lost, seen: True
) -> tuple[str, float] | None:
    """The layer with the largest share of its activations at the clip limits, and that share; None without any.

    ``among``: which layers count, by how many activations are at a limit and of how many.
    """
    shares = [(layer, lost / seen) for layer, lost, seen in _clips(evidence) if among(lost, seen)]
    return max(shares, key=lambda pair: pair[1], default=None)

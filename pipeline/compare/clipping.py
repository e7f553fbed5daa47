"""Whether a quantized layer clips: by how many of how many activations, not by a share alone."""

from collections.abc import Iterable, Iterator

from isobatch.pipeline.compare.statistics import rate_lower
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.records.wording import counted, percent

CLIP_LIMIT, CLIP_SEEN, CLIPPED = 0.01, 1000, 20
"""Outputs are not worth comparing where a quantized layer surely has more than this share of its activations at the
clip limits: of at least so many values seen, at least so many clipped, and a 95 % lower bound above the share."""


def clipping(evidence: Iterable[Evidence]) -> str | None:
    """Why a variant is invalid on this evidence, naming the layer that surely clips most; None where none does."""
    sure = [clip for clip in _clips(evidence) if _is_clipping(*clip[1:])]
    if not sure:
        return None
    layer, share, _ = max(sure, key=lambda layer_share: layer_share[1])
    return (
        f"Layer {layer} has {percent(share)} of its activations at the clip limits of its 8-bit range, "
        f"more than {percent(CLIP_LIMIT)}: outputs this distorted say nothing about batching."
    )


def clip_notes(evidence: Iterable[Evidence]) -> list[str]:
    """What is to be said of layers that clip more than the limit on too few values to reject a variant for it."""
    unsure = {
        layer: (share, seen)
        for layer, share, seen in _clips(evidence)
        if share > CLIP_LIMIT and seen is not None and not _is_clipping(share, seen)
    }
    return [
        f"layer {layer} has {percent(share)} of {counted(seen, 'activation')} at the clip limits of its 8-bit range: "
        "too few to say that it clips; more images would tell"
        for layer, (share, seen) in unsure.items()
    ]


def _is_clipping(share: float, seen: int | None) -> bool:
    """Whether a layer surely clips more than the limit; older evidence does not tell on how many values."""
    if seen is None:
        return share > CLIP_LIMIT
    lost = round(share * seen)
    return seen >= CLIP_SEEN and lost >= CLIPPED and rate_lower(lost, seen) > CLIP_LIMIT


def _clips(evidence: Iterable[Evidence]) -> Iterator[tuple[str, float, int | None]]:
    """Each quantized layer of each condition: its name, the share at the limits, and on how many values."""
    for part_evidence in evidence:
        seen = part_evidence.clip_seen or {}
        yield from ((layer, share, seen.get(layer)) for layer, share in (part_evidence.clip_shares or {}).items())


def largest_clip(evidence: Iterable[Evidence]) -> tuple[str, float] | None:
    """The layer with the largest share of its activations at the clip limits, and that share; None without any."""
    shares = [(layer, share) for layer, share, _ in _clips(evidence)]
    return max(shares, key=lambda pair: pair[1], default=None)

"""Whether the network itself mixes images: a control on its float variant, inside a worker, and what it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.plain import Plain
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.neighbours import OUTLIER_FACTOR, REPLACEMENTS, beside
from isobatch.pipeline.records.study import Mixing, VariantResult
from isobatch.pipeline.records.wording import counted, listed, number

LEAK, SCALE = "neighbour-leak", "dynamic-scale"
IMAGES = 4
"""So many images of the set suffice for the control."""

Batch = NDArray[np.float32]


@dataclass(frozen=True)
class Control(Plain):
    """What replacing the neighbours did to one image's row."""

    repeatable: bool  # the same call gave the same bytes
    batch_size: int
    tried: int
    moved: int  # batches in which the row was another
    # Of those, batches in which two outliers held the range of values: no scale taken from the batch moved the row.
    moved_held: int
    change: float
    largest: float


def control(runner: Runner, images: Batch) -> Control:
    """Replace an image's neighbours at one N and one place. ``images``: float32 [1 to 4, channels, height, width].

    The image is once the first, once the last of the batch: what reads a batch in order may look one way only.
    """
    victim, others = images[:1], _neighbours(images)
    high, low = beside(victim, REPLACEMENTS["outlier"]), beside(victim, lambda image: image * -OUTLIER_FACTOR)

    def row(parts: Sequence[Batch], place: int) -> NDArray[Any]:
        logits: NDArray[Any] = runner.run(np.concatenate(parts))[place]
        return logits.copy()

    free = [([victim, other, other, other], 0) for other in others], [([other] * 3 + [victim], 3) for other in others]
    held = [([victim, other, high, low], 0) for other in others], [([high, low, other, victim], 3) for other in others]
    first, again = row(*free[0][0]), row(*free[0][0])
    repeatable, size = bool((bits(first) == bits(again)).all()), len(free[0][0][0])
    largest = float(np.abs(first.astype(np.float64)).max(initial=0.0))
    counts, change = {"free": 0, "held": 0}, 0.0
    for name, layouts in (("free", free), ("held", held)):
        for layout in layouts if repeatable else ():
            rows = [row(*place) for place in layout]
            for other in rows[1:]:
                counts[name] += bool((bits(other) != bits(rows[0])).any())
                apart = np.abs(other.astype(np.float64) - rows[0].astype(np.float64))
                change = max(change, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)))
    tried = 4 * (len(others) - 1)
    return Control(repeatable, size, tried, sum(counts.values()), counts["held"], change, largest)


def _neighbours(images: Batch) -> list[Batch]:
    """What stands beside the first image in turn: the others, itself, and nothing at all."""
    return [*(images[i : i + 1] for i in range(1, len(images))), images[:1], beside(images[:1], np.zeros_like)]


def decide(variant: str, mixed: Control, inside: VariantResult | None) -> Mixing:
    """Whether the network mixes images, from the control and from what was found at the float variant's origins.

    A scale taken from the whole batch couples images too, and is the work of quantization: where freezing it explained
    every origin, or where it may be what moved the row and nobody looked inside, the network is not accused.
    """
    origins = (inside.origins or []) if inside else []
    mechanisms = {origin.mechanism for origin in origins}
    leaks = sorted({origin.layer for origin in origins if origin.mechanism == LEAK})
    mixes: bool | None
    if not mixed.repeatable:
        mixes = None
    elif not mixed.moved:
        mixes = None if leaks else False  # a leak that these neighbours did not bring to the logits
    elif leaks:
        mixes = True
    elif SCALE in mechanisms:
        mixes = False
    else:
        mixes = True if mixed.moved_held else None
    return Mixing(
        variant=variant,
        mixes=mixes,
        batch_size=mixed.batch_size,
        tried=mixed.tried,
        change=mixed.change,
        largest_logit=mixed.largest,
        evidence=_evidence(variant, mixed, leaks, SCALE in mechanisms),
    )


def _evidence(variant: str, mixed: Control, leaks: Sequence[str], scaled: bool) -> str:
    if not mixed.repeatable:
        return f"The same call of {variant} twice gave other bytes, so it was not told whether neighbours matter."
    where = f"In {variant}, at N = {mixed.batch_size} and one place"
    if not mixed.moved:
        return f"{where}, none of {counted(mixed.tried, 'change')} of the neighbours moved a bit of an image's logits."
    share = f" ({number(mixed.change / mixed.largest)} of its largest)" if mixed.largest else ""
    text = (
        f"{where}, other neighbours changed an image's logits in {mixed.moved} of {mixed.tried} trials, by up to "
        f"{number(mixed.change)}{share}"
    )
    if mixed.moved_held:
        text += f"; in {mixed.moved_held} of them the range of values in the batch was held, so it is no scale"
    if leaks:
        text += f". It starts at {listed(leaks[:3])}, where other neighbours move the row of an image too"
    elif scaled:
        text += ". Freezing the scale of the batch removed the difference where it starts"
    return f"{text}."


def without_repairs(variants: Sequence[VariantResult], mixing: Mixing | None) -> list[VariantResult]:
    """The variants with no repair, where the network mixes images: a fixed shape gives stable bytes, not a cure."""
    if mixing is None or not mixing.mixes:
        return list(variants)
    return [variant.model_copy(update={"repairs": None}) for variant in variants]

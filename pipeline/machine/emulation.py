"""Arithmetic that a processor lacks: computed by other instructions, tens of times slower, and measured on less."""

from isobatch.models.spec.images import Images
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.machine.isa_caps import NATIVE

_PIXELS = 4 * 224 * 224
_IMAGES = 2  # at least


def emulated(spec: VariantSpec, flags: frozenset[str]) -> bool:
    """Whether this processor lacks the arithmetic of this variant, so that it is emulated and very slow."""
    return bool(spec.native_isa) and not flags.intersection(spec.native_isa)


def measured_images(spec: VariantSpec, images: Images, flags: frozenset[str] | None) -> int:
    """How many images of a set this variant is measured on: all, or a few where its arithmetic is emulated.

    ``flags``: the processor's features; None where it is not the processor that computes.
    """
    pixels = max(1, images.values // 3)
    few = max(_IMAGES, _PIXELS // pixels)
    return min(len(images), few) if flags is not None and emulated(spec, flags) else len(images)


def why_emulated(spec: VariantSpec, isa: str = NATIVE) -> str:
    """Why less is measured, as the report says it: for what the processor lacks, or what the cap ``isa`` hides."""
    if isa != NATIVE:
        hidden = ", ".join(spec.native_isa)
        return f"the cap {isa} hides {hidden} from the libraries: {spec.precision} arithmetic is emulated and slow"
    return f"this processor has none of {', '.join(spec.native_isa)}: {spec.precision} arithmetic is emulated and slow"

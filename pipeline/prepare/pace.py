"""What a pass costs, roughly, for progress and plans."""

from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.machine.emulation import emulated
from isobatch.pipeline.machine.environment import cpu_flags

_IMAGES_PER_SECOND = {"fp64": 6.0, "fp32": 15.0, "bf16": 28.0, "fp16": 18.0, "int8": 30.0}  # at 224 x 224, 2 cores
_DYNAMIC, _EMULATED = 12.0, 1.5  # the same, of int8 with scales taken at run time, and of arithmetic that is emulated


def cost(spec: VariantSpec, images_passed: int, size: int) -> float:
    """Rough seconds for so many images of this size: only for the progress display and the dry run."""
    rate = _IMAGES_PER_SECOND.get(spec.precision, 20.0)
    if emulated(spec, cpu_flags()):
        rate = _EMULATED
    elif spec.precision == "int8" and not spec.calibrated:
        rate = _DYNAMIC
    return images_passed * (size / 224) ** 2 / rate

"""Arrays drawn for a network that takes no pictures: their values say nothing, the arithmetic on them does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Field, Images, record_type
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs.request import CALIBRATION_IMAGES, PreparedSet, SetsAsked, described
from isobatch.pipeline.inputs.storing import Part, part_name, store_images


def prepare_drawn(request: SetsAsked) -> PreparedSet:
    """As many arrays of each input as images were asked for, and others to calibrate with, from the study's seed.

    Where an input has few values, both draws may hold the same ones: nothing is judged on drawn values.
    """
    evaluation = _stored(request, "evaluation", request.seed, request.wanted)
    calibration = _stored(request, "calibration", request.seed + 1, CALIBRATION_IMAGES)
    takes = "; ".join(map(str, request.interface))
    note = f"{len(calibration)} of another draw, seed {request.seed + 1}"
    said = (
        "drawn values, not yours: what they are answered says nothing about real inputs (--inputs FILE.npz with an "
        f"array for each input gives your own); calibration: {note}"
    )
    return described(
        "noise", f"drawn from seed {request.seed}: {takes}", evaluation, calibration, note, said, drawn=True
    )


def _stored(request: SetsAsked, part: Part, seed: int, count: int) -> Images:
    fields = tuple(Field(tensor.name, tensor.dtype, tensor.example_shape) for tensor in request.interface)
    generator = np.random.Generator(np.random.PCG64(seed))

    def rows() -> Iterator[NDArray[Any]]:
        for _ in range(count):
            row = np.zeros((), record_type(fields))
            for tensor in request.interface:
                row[tensor.name] = values(tensor, generator)
            yield row

    return store_images(part_name("noise", part), request.folder / f"noise-{part}.raw", rows())


def values(tensor: Input, generator: np.random.Generator) -> NDArray[Any]:
    """Floats: normal; pixels: all 256; switches and masks: on up to a random place; numbers: rows of the table."""
    shape, kind = tensor.example_shape, np.dtype(tensor.dtype)
    if kind.kind == "f":
        return generator.standard_normal(shape).astype(kind)
    if kind == np.uint8:
        return generator.integers(0, 256, shape, np.uint8)
    if kind.kind == "b" or "mask" in tensor.name.lower():
        length = shape[-1] if shape else 1
        on = np.arange(length) < generator.integers(max(1, length // 2), length + 1)
        return np.broadcast_to(on if shape else on[0], shape).astype(kind)
    return generator.integers(0, tensor.below or 2, shape).astype(kind)

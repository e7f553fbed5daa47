"""What stands beside an image in place of its natural neighbour, made from the image replaced: everywhere the same."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Runner
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import row_distance

Image = NDArray[np.float32]

OUTLIER_FACTOR = np.float32(32)  # a power of two: the outlier neighbour is the image itself, exactly scaled
LARGER = np.float32(2**10)
"""The factor of a second outlier."""
_SEED = 5


def _constant(image: Image) -> Image:
    return np.full_like(image, image.max())


def _random(image: Image) -> Image:
    """Uniform noise as large as the image: from raw integers, so the same bytes on every machine."""
    noise = np.random.Generator(np.random.PCG64(_SEED)).random(image.shape, np.float32)
    return np.asarray((noise * np.float32(2) - np.float32(1)) * np.abs(image).max(), np.float32)


def _one_pixel(image: Image) -> Image:
    spot = np.zeros_like(image)
    if image.ndim == 3:
        spot[:, image.shape[1] // 2, image.shape[2] // 2] = np.abs(image).max() * OUTLIER_FACTOR
    else:
        spot.reshape(-1)[image.size // 2] = np.abs(image).max() * OUTLIER_FACTOR
    return spot


def scaled(factor: np.float32) -> Callable[[Image], Image]:
    """What multiplies an image by ``factor``. Pixels of 8 bits become the image's largest, other integers stay.

    They may be numbers of rows in tables of any length. Of several inputs (a structured array), each is changed so.
    """

    def change(image: Any) -> Any:
        if image.dtype.names:
            changed = image.copy()
            for name in image.dtype.names:
                changed[name] = change(image[name])
            return changed
        if image.dtype.kind == "f":
            return image * image.dtype.type(factor)
        return np.full_like(image, image.max()) if image.dtype == np.uint8 else image

    return change


REPLACEMENTS: Mapping[str, Callable[[Image], Image]] = {
    "outlier": scaled(OUTLIER_FACTOR),
    "zeros": np.zeros_like,
    "constant": _constant,
    "random": _random,
}
_MORE: Mapping[str, Callable[[Image], Image]] = {
    "larger": lambda image: image * LARGER,
    "smaller": lambda image: image * np.float32(2**-10),
    "negative outlier": lambda image: image * -OUTLIER_FACTOR,
    "one bright pixel": _one_pixel,
}


def beside(batch: Image, replacement: Callable[[Image], Image]) -> Image:
    """The batch, images on its first axis, with its last image replaced by what ``replacement`` makes of it."""
    changed = batch.copy()
    if batch.dtype.names is None:
        changed[-1] = _replaced(batch[-1], replacement)
        return changed
    records: NDArray[Any] = changed
    for name in batch.dtype.names:
        records[name][-1] = _replaced(records[name][-1], replacement)
    return changed


def _replaced(values: NDArray[Any], replacement: Callable[[Image], Image]) -> NDArray[Any]:
    """What the replacement makes of one array, in its own type.

    Whole numbers may be rows of a table or switches: they take only values that they have already, in reverse order or
    in that of what is made of their places.
    """
    values = np.asarray(values)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            made = replacement(values.astype(np.float32))
            limits = np.finfo(values.dtype)
            return np.asarray(np.clip(made, limits.min, limits.max).astype(values.dtype))
    if replacement is _constant:
        return np.full_like(values, values.max())
    if replacement is _random:
        order = np.random.Generator(np.random.PCG64(_SEED)).permutation(values.size)
        return values.reshape(-1)[order].reshape(values.shape)
    if replacement is np.zeros_like:
        return np.full_like(values, values.min())
    return values[..., ::-1].copy() if values.ndim else values.copy()


def find_replacement(name: str, runner: Runner, batch: Image) -> Callable[[Image], Image]:
    """The replacement of that name; ``worst``: of all known, what moves the other rows of this batch most.

    Most: by elements whose bytes differ from the plain batch, then by the largest difference; the first of equals.
    """
    if name in REPLACEMENTS:
        return REPLACEMENTS[name]
    plain = runner.run(batch)[:-1]
    tried = {**REPLACEMENTS, **_MORE}
    return max(tried.values(), key=lambda candidate: _moved(plain, runner.run(beside(batch, candidate))[:-1]))


def _moved(plain: NDArray[Any], rows: NDArray[Any]) -> tuple[int, float]:
    if plain.shape != rows.shape or plain.dtype != rows.dtype:
        return plain.size, np.inf
    return int((bits(plain) != bits(rows)).sum()), float(np.nan_to_num(row_distance(plain, rows), nan=np.inf).max())

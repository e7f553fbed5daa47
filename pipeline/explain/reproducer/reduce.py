"""A layer's data cut down to the least that still shows the difference between singles and batched."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.case import Case, Shrink
from isobatch.pipeline.evidence.rows import same_bits

Arrays = dict[str, NDArray[Any]]


def shows(case: Case, arrays: Arrays) -> bool:
    """Whether bytes differ between all images in one call and each alone; data that the layer does not take: no."""
    try:
        run = case.prepare(arrays)
        count = len(arrays[case.rows[0]])
        singles = [run({**arrays, **{name: arrays[name][i : i + 1] for name in case.rows}}) for i in range(count)]
        pairs = zip(zip(*singles, strict=True), run(arrays), strict=True)
        return not all(same_bits(np.concatenate(alone), batched).all() for alone, batched in pairs)
    except NotImplementedError:
        raise
    except Exception:
        return False


def reduce_data(case: Case) -> tuple[Arrays, list[str]]:
    """(arrays of the fewest images, and of halves of every other axis, that still differ; what was left out)."""
    arrays = dict(case.arrays)
    cuts = []
    if fewer := next(_fewer_images(case, arrays), None):
        arrays = fewer
        cuts.append("images")
    left = list(case.shrinks)
    while left:
        for shrink in list(left):
            half = next((half for half in _halves(shrink, arrays) if shows(case, half)), None)
            if half is None:
                left.remove(shrink)
            else:
                arrays = half
                cuts += [shrink.what] if shrink.what not in cuts else []
    return arrays, cuts


def _fewer_images(case: Case, arrays: Arrays) -> Iterator[Arrays]:
    count = len(arrays[case.rows[0]])
    for n in range(2, count):
        for start in range(count - n + 1):
            part = {**arrays, **{name: arrays[name][start : start + n] for name in case.rows}}
            if shows(case, part):
                yield part


def _halves(shrink: Shrink, arrays: Arrays) -> Iterator[Arrays]:
    """The first and the second half along the axes of ``shrink``; nothing where that would be too short."""
    length = min(arrays[name].shape[axis] for name, axis in shrink.axes)
    keep = (length + 1) // 2
    if keep < shrink.least or keep == length:
        return
    for start in (0, length - keep):
        cut = {
            name: np.ascontiguousarray(arrays[name].take(range(start, start + keep), axis))
            for name, axis in shrink.axes
        }
        yield arrays | cut

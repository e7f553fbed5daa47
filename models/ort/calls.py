"""One call of an onnxruntime session: from images to its named inputs, and from its outputs to one row an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.batches import ONLY, parts_of
from isobatch.models.spec.outcome import Leaf

if TYPE_CHECKING:
    import onnxruntime as ort


def feed(names: Sequence[str], images: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a call by input name: ``images`` itself for one input, its fields by name for several."""
    given = parts_of(images)
    if list(given) == [ONLY]:
        (name,) = names
        return {name: images}
    return {name: given[name] for name in names}


def call(session: ort.InferenceSession, images: NDArray[Any]) -> NDArray[Any]:
    """The session's outputs for these images, one row each (see ``side_by_side``)."""
    return side_by_side(outputs_of(session, images), len(images))


def outputs_of(session: ort.InferenceSession, images: NDArray[Any]) -> dict[str, Any]:
    """The session's outputs for these images by name, in memory that it handed out."""
    names = [value.name for value in session.get_inputs()]
    return dict(
        zip([output.name for output in session.get_outputs()], session.run(None, feed(names, images)), strict=True)
    )


def side_by_side(outputs: Mapping[str, Any], count: int) -> NDArray[Any]:
    """[count, values]: for each image the values of all outputs, in order; a copy of the caller's own.

    One output keeps its type; several share the smallest that holds the values of all (int64 beside floats: float64,
    exact up to 2^53). Raises ValueError for an output without one entry an image on its first axis.
    """
    parts = []
    for name, value in outputs.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"type-mismatch: the output {name!r} is {array.dtype}; numbers are expected")
        if array.shape[:1] != (count,):
            raise ValueError(
                f"shape-mismatch: {count} images gave {name!r} of shape {list(array.shape)}; "
                "its first axis must be the batch"
            )
        parts.append(array.reshape(count, -1).astype(np.uint8 if array.dtype == np.bool_ else array.dtype, copy=False))
    # copied: onnxruntime's own array lives in memory that the session handed out
    return np.array(parts[0]) if len(parts) == 1 else np.concatenate(parts, axis=1)


def leaves_of(outputs: Mapping[str, Any]) -> tuple[Leaf, ...]:
    """Where each output stands in a row of ``side_by_side``."""
    leaves, start = [], 0
    for name, value in outputs.items():
        array = np.asarray(value)
        length = int(np.prod(array.shape[1:], dtype=np.int64))
        leaves.append(Leaf(name, array.dtype.name, array.shape[1:], start, start + length))
        start += length
    return tuple(leaves)

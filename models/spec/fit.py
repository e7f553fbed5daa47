"""An array of the user's as an input of the network takes it, in type and order of axes; or why it does not fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interface import Input


class Misfit(ValueError):
    """The array is no such input. ``code``: ``npy-shape`` or ``npy-dtype``; the message says what would fit."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotTaken(TypeError):
    """The network cannot be run on ``count`` such examples.

    ``described``: what they are; ``said``: its own words; ``remedy``: what to do about it; ``first``: it was the very
    first call, so that nothing like these examples was ever taken.
    """

    def __init__(self, count: int, described: str, said: str, remedy: str = "", first: bool = False) -> None:
        end = f"; {remedy}" if remedy else ""
        super().__init__(f"the network cannot be run on {count} of these examples ({described}): {said[:300]}{end}")
        self.count, self.first, self.remedy = count, first, remedy


def batch_in_front(
    array: NDArray[Any], tensor: Input, batch_axes: Mapping[str, int], holder: str
) -> tuple[NDArray[Any], Input, str]:
    """What ``fit`` asks, for an array whose batch lies where ``batch_axes`` says. Raises Misfit."""
    axis = batch_axes.get(tensor.name, 0)
    if axis >= array.ndim:
        what = f"{holder} {array.dtype} {list(array.shape)}"
        raise Misfit("npy-shape", f"{what}, which has no axis {axis} (--batch-axis {tensor.name}={axis})")
    turned = f" its batch, axis {axis}, put first:" if axis else ""
    return np.moveaxis(array, axis, 0), tensor, f"{holder}{turned}"


def fit(array: NDArray[Any], tensor: Input, holder: str) -> tuple[NDArray[Any], str]:
    """The array [n, ...] in the input's own type and axes, and what was done for that, in words.

    Pictures are turned to the input's layout, floats rounded, whole numbers stored in another width where it holds them
    all. ``holder``: what the array was given as. Raises Misfit.
    """
    what = f"{holder} {array.dtype} {list(array.shape)}"
    takes = f"the network takes {tensor}"
    said = f"{tensor.name!r}: {array.dtype} values used as they are"
    if array.ndim != len(tensor.shape) + 1 or 0 in array.shape:
        raise Misfit("npy-shape", f"{what}, and {takes}: give [n, ...] of as many axes, none of them 0")
    if not tensor.takes(array.shape[1:]) and tensor.layout and array.ndim == 4:
        there = (0, 2, 3, 1) if tensor.layout == "NHWC" else (0, 3, 1, 2)
        if tensor.takes(tuple(array.shape[axis] for axis in there[1:])):
            array = array.transpose(there)
            said += f", their axes turned to {tensor.layout}"
    if not tensor.takes(array.shape[1:]):
        raise Misfit("npy-shape", f"{what}, and {takes}: give images of that shape")
    target = np.dtype(tensor.dtype)
    given = array.dtype.newbyteorder("=")
    if given == target:
        return array.astype(target, copy=False), said  # in this machine's byte order
    if given.kind == target.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(target), said.replace("used as they are", f"rounded to {target}")
    whole = given.kind in "iub" and target.kind in "iu"
    if whole and array.size and np.iinfo(target).min <= int(array.min()) and int(array.max()) <= np.iinfo(target).max:
        return array.astype(target), said.replace("used as they are", f"stored as {target}")
    raise Misfit("npy-dtype", f"{what}, and {takes}: convert it with .astype({target.name!r})")

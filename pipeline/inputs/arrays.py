"""The user's own arrays, one for each input of the network, used as they are: .npz, .safetensors, and .npy for one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from isobatch.models.spec.images import Field, record_type
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs.choose import Candidates
from isobatch.pipeline.inputs.own import Own, choose_own, store_own
from isobatch.pipeline.inputs.request import InputError, InputsRequest, PreparedSet, printable

ARRAYS = (".npy", ".npz", ".safetensors")
_LABELS = "labels"
_PICTURES = Input("images", "float32", (3, None, None))


def as_pictures(path: Path, interface: Sequence[Input]) -> bool:
    """Whether this .npy goes the way of pictures: NCHW for the usual input, or pixels to be normalised for floats.

    Of an array [n, c, h, w] or [n, h, w, c] the second and the fourth axis can hold the channels.
    """
    if not interface:
        return True
    array = _loaded(path)[""]
    if interface[0].usual:
        return array.ndim != 4 or array.shape[1] == 3 or array.shape[3] != 3
    pixels = array.dtype == np.uint8 and array.ndim == 4 and (interface[0].channels or 3) in array.shape[1::2]
    return pixels and interface[0].dtype != "uint8"


def prepare_arrays(request: InputsRequest, path: Path) -> PreparedSet:
    """Images spread over the arrays, each input in the network's own type and axes.

    Raises InputError where an input has no array, or one of another kind or shape, and for values that are not finite.
    """
    inputs = request.interface or (_PICTURES,)
    stored = _loaded(path)
    labels = _labels(stored, inputs, path)
    arrays, said = _matched(stored, inputs, path)
    count = {len(array) for array in arrays.values()}
    if len(count) != 1:
        sizes = ", ".join(f"{name!r} {len(array)}" for name, array in arrays.items())
        raise InputError("npy-shape", f"{printable(path)}: its arrays hold {sizes} images; each must hold all of them")
    fields = tuple(Field(one.name, one.dtype, arrays[one.name].shape[1:]) for one in inputs)
    kind = record_type(fields)

    def read(index: int) -> NDArray[Any]:
        row = np.zeros((), kind)
        for name, array in arrays.items():
            values = array[index]
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise InputError(
                    "npy-not-finite",
                    f"image {index} of {printable(path)}, array {name!r}, holds NaN or infinity: remove or clean it",
                )
            row[name] = values
        return row

    own = Own("npy", printable(path.stem), printable(path), Candidates(count.pop(), read, lambda i: f"image {i}"))
    return store_own(own, request, choose_own(own, request), labels, "; ".join(said))


def _loaded(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file by name; "" for the one of a .npy file. Nothing is unpickled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on headers by Python 2
            if path.suffix.lower() == ".npy":
                return {"": np.lib.format.open_memmap(path, mode="r")}
            if path.suffix.lower() == ".safetensors":
                return dict(load_file(path))
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
    except Exception as error:  # a hostile header may raise anything in its parser
        raise InputError(
            "npy-format",
            f"{printable(path)} holds no readable arrays of numbers ({printable(error)}): write it with numpy.save, "
            "numpy.savez or safetensors.numpy.save_file",
        ) from error


def _labels(stored: Mapping[str, NDArray[Any]], inputs: Sequence[Input], path: Path) -> tuple[int, ...] | None:
    """The class of each image, where an array ``labels`` beside the inputs holds whole numbers."""
    if _LABELS not in stored or _LABELS in {one.name for one in inputs}:
        return None
    found = stored[_LABELS]
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError(
            "npy-shape",
            f"{printable(path)}: {_LABELS!r} is {found.dtype} {list(found.shape)}; a label is one whole number",
        )
    return tuple(int(label) for label in found)


def _matched(
    stored: Mapping[str, NDArray[Any]], inputs: Sequence[Input], path: Path
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """For each input its array, in its type and axes; and what had to be done for that, in words."""
    rest = {name: array for name, array in stored.items() if name != _LABELS or len(stored) == 1}
    if len(inputs) == 1 and len(rest) == 1:
        rest = {inputs[0].name: next(iter(rest.values()))}
    takes = "; ".join(map(str, inputs))
    if missing := [one.name for one in inputs if one.name not in rest]:
        raise InputError(
            "npy-shape",
            f"{printable(path)} holds {', '.join(map(repr, rest)) or 'nothing'}, and the network takes {takes}: "
            f"save an array named {missing[0]!r} too, with numpy.savez",
        )
    found, said = {}, []
    for one in inputs:
        array, what = _fitted(rest[one.name], one, path)
        found[one.name] = array
        said.append(what)
    if unused := sorted(set(rest) - set(found)):
        said.append(f"{', '.join(map(repr, unused))} not used: no input has that name")
    return found, said


def _fitted(array: NDArray[Any], one: Input, path: Path) -> tuple[NDArray[Any], str]:
    what = f"{printable(path)} holds {array.dtype} {list(array.shape)}"
    takes = f"the network takes {one}"
    said = f"{one.name!r}: {array.dtype} values used as they are"
    if array.ndim != len(one.shape) + 1 or 0 in array.shape:
        raise InputError("npy-shape", f"{what}, and {takes}: give [n, ...] of as many axes, none of them 0")
    if not one.takes(array.shape[1:]) and one.layout and array.ndim == 4:
        there = (0, 2, 3, 1) if one.layout == "NHWC" else (0, 3, 1, 2)
        if one.takes(tuple(array.shape[axis] for axis in there[1:])):
            array = array.transpose(there)
            said += f", their axes turned to {one.layout}"
    if not one.takes(array.shape[1:]):
        raise InputError("npy-shape", f"{what}, and {takes}: give images of that shape")
    target = np.dtype(one.dtype)
    given = array.dtype.newbyteorder("=")
    if given == target:
        return array, said
    if given.kind == target.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(target), said.replace("used as they are", f"rounded to {target}")
    whole = given.kind in "iub" and target.kind in "iu"
    if whole and array.size and np.iinfo(target).min <= int(array.min()) and int(array.max()) <= np.iinfo(target).max:
        return array.astype(target), said.replace("used as they are", f"stored as {target}")
    raise InputError("npy-dtype", f"{what}, and {takes}: convert it with .astype({target.name!r})")

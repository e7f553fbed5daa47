"""The user's own arrays, one for each input of the network, used as they are: .npz, .safetensors, and .npy for one."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from isobatch.models.spec.fit import Misfit, batch_in_front, fit
from isobatch.models.spec.images import Field, record_type
from isobatch.models.spec.interface import Input
from isobatch.pipeline.inputs.own import own_array
from isobatch.pipeline.inputs.request import InputError, PreparedSet, SetsAsked, printable
from isobatch.pipeline.storage.files import StoreError

ARRAYS = (".npy", ".npz", ".safetensors")
_LABELS = "labels"
_PICTURES = Input("images", "float32", (3, None, None))


def arrays_beside_labels(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file by name, without its labels. Raises InputError."""
    return _beside_labels(loaded(path))


def _beside_labels(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in stored.items() if name != _LABELS or len(stored) == 1}


def as_pictures(path: Path, interface: Sequence[Input]) -> bool:
    """Whether this .npy goes the way of pictures: NCHW for the usual input, or pixels to be normalised for floats.

    Of an array [n, c, h, w] or [n, h, w, c] the second and the fourth axis can hold the channels.
    """
    if not interface:
        return True
    array = loaded(path)[""]
    if array.dtype == np.uint8 and array.ndim == 4 and (interface[0].channels or 3) in array.shape[1::2]:
        return interface[0].dtype != "uint8"
    return interface[0].usual and (array.ndim != 4 or array.shape[1] == 3 or array.shape[3] != 3)


def prepare_arrays(request: SetsAsked, path: Path) -> PreparedSet:
    """Images spread over the arrays, each input in the network's own type and axes.

    Raises InputError where an input has no array, or one of another kind or shape, and for values that are not finite.
    """
    inputs = request.interface or (_PICTURES,)
    stored = loaded(path)
    arrays, said = _matched(stored, inputs, path, request.batch_axes)
    count = {len(array) for array in arrays.values()}
    if len(count) != 1:
        sizes = ", ".join(f"{name!r} {len(array)}" for name, array in arrays.items())
        raise InputError("npy-shape", f"{printable(path)}: its arrays hold {sizes} images; each must hold all of them")
    (every,) = count
    labels = None if _LABELS in {tensor.name for tensor in inputs} else stored.get(_LABELS)
    fields = tuple(Field(tensor.name, tensor.dtype, arrays[tensor.name].shape[1:]) for tensor in inputs)
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

    return own_array(request, path, every, read, labels, "; ".join(said))


def loaded(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file by name; "" for the one of a .npy file. Nothing is unpickled."""
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on headers by Python 2
        if path.suffix.lower() == ".npy":
            return {"": np.lib.format.open_memmap(path, mode="r")}
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path))
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Whatever reading the file raises inside is an InputError; a disk that is full stays one."""
    try:
        yield
    except (InputError, StoreError):
        raise
    except Exception as error:  # a hostile header may raise anything in its parser
        raise InputError(
            "npy-format",
            f"{printable(path)} holds no readable arrays of numbers ({printable(error)}): write it with numpy.save, "
            "numpy.savez or safetensors.numpy.save_file",
        ) from error


def _matched(
    stored: Mapping[str, NDArray[Any]], inputs: Sequence[Input], path: Path, batch_axes: Mapping[str, int]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """For each input its array, in its type and axes; and what had to be done for that, in words."""
    rest = _beside_labels(stored)
    if len(inputs) == 1 and len(rest) == 1:
        rest = {inputs[0].name: next(iter(rest.values()))}
    takes = "; ".join(map(str, inputs))
    if missing := [tensor.name for tensor in inputs if tensor.name not in rest]:
        raise InputError(
            "npy-shape",
            f"{printable(path)} holds {', '.join(map(repr, rest)) or 'nothing'}, and the network takes {takes}: "
            f"save an array named {missing[0]!r} too, with numpy.savez",
        )
    matched, said = {}, []
    for tensor in inputs:
        try:
            array, what = fit(*batch_in_front(rest[tensor.name], tensor, batch_axes, f"{printable(path)} holds"))
        except Misfit as error:
            raise InputError(error.code, str(error)) from error
        matched[tensor.name] = array
        said.append(what)
    if unused := sorted(set(rest) - set(matched)):
        said.append(f"{', '.join(map(repr, unused))} not used: no input has that name")
    return matched, said

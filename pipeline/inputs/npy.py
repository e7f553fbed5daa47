"""A .npy file of images [n, 3, h, w]: float32 or float64 used as they are, uint8 as pixels. Never unpickled."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.inputs.choose import Candidates
from isobatch.pipeline.inputs.own import Own, choose_own, store_own
from isobatch.pipeline.inputs.request import InputError, InputsRequest, PreparedSet, printable

_USES = {
    np.dtype(np.float32): "used as they are, without normalisation",
    np.dtype(np.float64): "rounded to float32, without normalisation",
    np.dtype(np.uint8): "pixels 0 to 255, normalised as ImageNet's",
}


def prepare_npy(request: InputsRequest, path: Path) -> PreparedSet:
    """Images spread over the array, in the array's own size. Raises InputError for anything but finite [n, 3, h, w]."""
    array = _mapped(path)
    shape, dtype = array.shape, array.dtype

    def read(index: int) -> NDArray[Any]:
        again = _mapped(path)  # a mapping kept for all images would hold every page that was read
        if (again.shape, again.dtype) != (shape, dtype):
            raise InputError("changed", f"{printable(path)} changed while it was read: run again when it is at rest")
        row: NDArray[Any] = again[index]
        if row.dtype == np.uint8:
            return np.ascontiguousarray(row.transpose(1, 2, 0))
        with np.errstate(over="ignore", invalid="ignore"):
            row = row.astype(np.float32)
        if not np.isfinite(row).all():
            raise InputError(
                "npy-not-finite",
                f"image {index} of {printable(path)} holds NaN, infinity or values beyond float32: remove or clean it",
            )
        return row

    own = Own("npy", printable(path.stem), printable(path), Candidates(shape[0], read, lambda i: f"image {i}"))
    remark = f"{dtype} values {_USES[dtype.newbyteorder('=')]}"
    return store_own(own, request, choose_own(own, request), None, remark)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on headers by Python 2
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a hostile header may raise anything in its parser
        raise InputError(
            "npy-format",
            f"{printable(path)} is no readable .npy array of numbers ({printable(error)}): "
            "write it with numpy.save from a float32 array [n, 3, height, width]",
        ) from error
    found = f"{printable(path)} holds {array.dtype} {list(array.shape)}"
    if array.dtype.newbyteorder("=") not in _USES:
        raise InputError("npy-dtype", f"{found}: float32, float64 or uint8 is needed; convert it with .astype")
    if array.ndim == 4 and array.shape[1] != 3 and array.shape[3] == 3:
        raise InputError("npy-shape", f"{found}, channels last: save array.transpose(0, 3, 1, 2) instead")
    if array.ndim != 4 or array.shape[1] != 3 or 0 in array.shape:
        raise InputError("npy-shape", f"{found}: [n, 3, height, width] is needed, none of them 0")
    return array

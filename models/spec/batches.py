"""A batch of one input or of several, as one array whose rows can be cut, turned and repeated: [n, ...].

One input is an array of its own. Several are the fields of a structured array, each row of which holds its part of all
of them.
"""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ONLY = ""
"""In place of a name: the input of a network that takes one."""


def parts_of(batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The array [n, ...] of each input by its name, in order; that of a single one is called ``ONLY``.

    Of several each is a copy: a single row would be called contiguous with the whole row's stride, wherever it lies.
    """
    if batch.dtype.names is None:
        return {ONLY: batch}
    return {name: np.array(batch[name], order="C") for name in batch.dtype.names}


def batch_of(parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The inverse of ``parts_of``: the arrays are of one length."""
    if list(parts) == [ONLY]:
        return parts[ONLY]
    length = len(next(iter(parts.values())))
    rows = np.empty(length, [(name, value.dtype, value.shape[1:]) for name, value in parts.items()])
    for name, value in parts.items():
        rows[name] = value
    return rows


def packed(batch: NDArray[Any]) -> tuple[bytes, str]:
    """The batch as the content of a file, and that file's suffix: .npy, or .npz with an array for each input."""
    memory, parts = io.BytesIO(), parts_of(batch)
    if list(parts) == [ONLY]:
        np.save(memory, batch, allow_pickle=False)
        return memory.getvalue(), ".npy"
    with zipfile.ZipFile(memory, "w") as archive:  # as numpy.savez, which takes some names for arguments of its own
        for name, value in parts.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)
    return memory.getvalue(), ".npz"

"""Images in a .npy or .npz file: float32 or float64 used as they are, uint8 as pixels. Never unpickled.

NCHW or NHWC, which the place of the channels shows.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.inputs.arrays import loaded, readable
from isobatch.pipeline.inputs.own import own_array
from isobatch.pipeline.inputs.pixels import scaling
from isobatch.pipeline.inputs.request import InputError, PreparedSet, SetsAsked, printable
from isobatch.pipeline.storage.files import write_bytes

_USES = {
    np.dtype(np.float32): "used as they are, without normalisation",
    np.dtype(np.float64): "rounded to float32, without normalisation",
    np.dtype(np.uint8): "pixels 0 to 255",
}
_AT_ONCE_BYTES = 1 << 20
_IMAGES = ("images", "image", "x", "inputs", "input", "data", "pixels")
_LABELS = ("labels", "label", "y", "targets", "target", "classes")


def prepare_npz(request: SetsAsked, path: Path) -> PreparedSet:
    """The images of an .npz file and the labels beside them, if it holds any. Raises InputError."""
    with readable(path), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        labels = next((name for name in _LABELS if name in names), None)
        others = [name for name in names if name != labels]
        images = next((name for name in _IMAGES if name in names), others[0] if len(others) == 1 else None)
        if images is None:
            raise InputError(
                "npy-format",
                f"{printable(path)} holds {printable(', '.join(names)) or 'nothing'}: call the images 'images' and "
                "their classes 'labels'",
            )
        copy, told = request.folder / "npz-images.npy", None
        with archive.open(names[images]) as member:
            write_bytes(copy, iter(lambda: member.read(_AT_ONCE_BYTES), b""))
        if labels is not None:
            told = np.lib.format.read_array(io.BytesIO(archive.read(names[labels])), allow_pickle=False)
    return prepare_npy(request, copy, path, told)


def prepare_npy(
    request: SetsAsked, path: Path, source: Path | None = None, labels: NDArray[Any] | None = None
) -> PreparedSet:
    """Images spread over the array, in the array's own size. ``source``: the file of the user's; ``labels``: beside it.

    Raises InputError for anything but finite [n, c, h, w] or [n, h, w, c] of the network's channels.
    """
    source, channels, layout = source or path, request.channels, request.layout
    array, last = _mapped(path, channels, layout)
    shape, dtype = array.shape, array.dtype

    def read(index: int) -> NDArray[Any]:
        again, _ = _mapped(path, channels, layout)  # a mapping kept for all images would hold every page that was read
        if (again.shape, again.dtype) != (shape, dtype):
            raise InputError("changed", f"{printable(path)} changed while it was read: run again when it is at rest")
        row: NDArray[Any] = again[index].transpose(2, 0, 1) if last else again[index]
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

    remark = f"{dtype} values {_USES[dtype.newbyteorder('=')]}"
    remark += f", {scaling(request.view)}" if dtype == np.uint8 else ""
    remark += "; the channels come last (NHWC), and are put first" if last else ""
    return own_array(request, source, shape[0], read, labels, remark)


def _mapped(path: Path, channels: int, layout: str | None) -> tuple[NDArray[Any], bool]:
    """The array, and whether its channels come last."""
    array = loaded(path)[""]
    holds = f"{printable(path)} holds {array.dtype} {list(array.shape)}"
    if array.dtype.newbyteorder("=") not in _USES:
        raise InputError("npy-dtype", f"{holds}: float32, float64 or uint8 is needed; convert it with .astype")
    last = array.ndim == 4 and (
        layout == "nhwc" or (layout is None and array.shape[1] != channels and array.shape[3] == channels)
    )
    if array.ndim != 4 or array.shape[3 if last else 1] != channels or 0 in array.shape:
        wanted = f"[n, {channels}, height, width]" if layout != "nhwc" else f"[n, height, width, {channels}]"
        raise InputError("npy-shape", f"{holds}: {wanted} is needed, none of them 0")
    return array, last

"""From the choice of inputs to prepared sets: a keyword wins over a path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from isobatch.pipeline.inputs.digits import prepare_digits
from isobatch.pipeline.inputs.folder import prepare_folder
from isobatch.pipeline.inputs.npy import prepare_npy, prepare_npz
from isobatch.pipeline.inputs.photos import prepare_photos
from isobatch.pipeline.inputs.request import InputError, InputsRequest, PreparedInputs, PreparedSet, printable
from isobatch.pipeline.inputs.seed import prepare_seed

SOURCES: dict[str, Callable[[InputsRequest], PreparedSet]] = {
    "seed": prepare_seed,
    "digits": prepare_digits,
    "photos": prepare_photos,
}


def prepare(request: InputsRequest) -> PreparedInputs:
    """Every set that the request names, written below ``request.folder``.

    ``auto`` is the seed set and the one that fits the weights: digits for digits and random weights, else photos.
    Raises InputError; StoreError where the folder cannot be written.
    """
    if request.asked == "auto":
        fitting = "digits" if request.weights in ("digits", "random") else "photos"
        names = ["seed"] if request.quick else ["seed", fitting]
        return PreparedInputs(tuple(SOURCES[name](request) for name in names))
    if request.asked in SOURCES:
        return PreparedInputs((SOURCES[request.asked](request),))
    path = Path(request.asked)
    if os.path.isdir(request.asked):
        return PreparedInputs((prepare_folder(request, path),))
    if os.path.isfile(request.asked) and path.suffix.lower() == ".npy":
        return PreparedInputs((prepare_npy(request, path),))
    if os.path.isfile(request.asked) and path.suffix.lower() == ".npz":
        return PreparedInputs((prepare_npz(request, path),))
    raise InputError("unknown-inputs", _unknown(request.asked))


def _unknown(asked: str) -> str:
    keywords = ("auto", *SOURCES)
    if os.path.isfile(asked):
        return f"{printable(asked)} is no .npy or .npz: give the folder it lies in, or an array saved as .npy"
    near = difflib.get_close_matches(asked, keywords, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"no inputs {printable(asked)!r}: {hint}There are {', '.join(keywords)}, a folder of pictures, a .npy or .npz "
        "file, and no folder or regular file of that name exists"
    )

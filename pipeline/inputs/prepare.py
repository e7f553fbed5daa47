"""From the choice of inputs to prepared sets: a keyword wins over a path."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from isobatch.models.spec.interface import Input
from isobatch.models.spec.nearest import CLOSE, nearest
from isobatch.pipeline.inputs.arrays import ARRAYS, as_pictures, prepare_arrays
from isobatch.pipeline.inputs.drawn import prepare_drawn
from isobatch.pipeline.inputs.folder import prepare_folder
from isobatch.pipeline.inputs.npy import prepare_npy, prepare_npz
from isobatch.pipeline.inputs.pixels import RAW
from isobatch.pipeline.inputs.request import InputError, Labelled, PreparedSet, SetsAsked, printable
from isobatch.pipeline.inputs.shipped import prepare_digits, prepare_photos, prepare_seed

SOURCES: dict[str, Callable[[SetsAsked], PreparedSet]] = {
    "seed": prepare_seed,
    "digits": prepare_digits,
    "photos": prepare_photos,
}


def prepare(request: SetsAsked) -> tuple[PreparedSet, ...]:
    """Every set that the request names, in the order in which they are reported, written below ``request.folder``.

    ``auto`` is the seed set and the one that fits the weights: digits for digits and random weights, else photos.
    Raises InputError; StoreError where the folder cannot be written.
    """
    pictures = not request.interface or (len(request.interface) == 1 and request.interface[0].of_pictures)
    if request.asked == "auto" and not pictures:
        return (prepare_drawn(request),)
    if request.asked == "auto":
        fitting = "digits" if request.weights in ("digits", "random") else "photos"
        names = ["seed"] if request.quick else ["seed", fitting]
        return tuple(as_taken(SOURCES[name](request), request.interface) for name in names)
    path = Path(request.asked)
    if request.asked in SOURCES or os.path.isdir(request.asked):
        if not pictures:
            takes = "; ".join(map(str, request.interface))
            raise InputError(
                "no-pictures",
                f"the network takes {takes}, and pictures are colour or grey: give --inputs FILE.npz with an array for "
                "each input by name, or leave --inputs out to draw some",
            )
        source = SOURCES.get(request.asked)
        prepared = source(request) if source else prepare_folder(request, path)
        return (as_taken(prepared, request.interface),)
    if os.path.isfile(request.asked) and path.suffix.lower() in ARRAYS:
        if path.suffix.lower() == ".npz" and not request.interface:
            return (prepare_npz(request, path),)
        turned = bool(request.batch_axes)
        if path.suffix.lower() == ".npy" and pictures and not turned and as_pictures(path, request.interface):
            return (as_taken(prepare_npy(request, path), request.interface),)
        return (prepare_arrays(request, path),)
    raise InputError("unknown-inputs", _unknown(request.asked))


def as_taken(prepared: PreparedSet, interface: Sequence[Input]) -> PreparedSet:
    """The set with its pictures in the layout and type of the network's input; itself where those are the usual ones.

    Sets of arrays are stored as they are taken, and come back as they are.
    """
    if len(interface) != 1 or interface[0].usual or prepared.evaluation.fields:
        return prepared
    (tensor,) = interface
    fed = f"{tensor.layout} {tensor.dtype}"

    raw = f" ({RAW})" if tensor.dtype == "uint8" else ""
    note = f"{prepared.record.note}; handed over as {fed}{raw}, which {tensor.name!r} takes"
    labelled, calibration = prepared.labelled, prepared.calibration

    def all_labelled() -> Labelled:
        assert labelled is not None
        larger = labelled()
        return replace(larger, images=replace(larger.images, fed=fed))

    return replace(
        prepared,
        record=prepared.record.model_copy(update={"note": note}),
        evaluation=replace(prepared.evaluation, fed=fed),
        calibration=calibration and replace(calibration, fed=fed),
        labelled=all_labelled if labelled is not None else None,
    )


def _unknown(asked: str) -> str:
    keywords = ("auto", *SOURCES)
    if os.path.isfile(asked):
        return (
            f"{printable(asked)} is a file but no .npy, .npz or .safetensors: give the folder it lies in, or an array "
            "saved as .npy"
        )
    near = nearest(asked, keywords, CLOSE)
    hint = f"did you mean {near!r}? " if near else ""
    return (
        f"no inputs {printable(asked)!r}: {hint}There are {', '.join(keywords)}, a folder of pictures, or a .npy, "
        ".npz or .safetensors file, and no folder or regular file of that name exists"
    )

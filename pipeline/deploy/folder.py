"""Writing what is shipped: the model's files as they are, our loader, images to check it on, a card, and the record."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.shared.regular_files import file_sha256
from isobatch.models.spec.batches import batch_of, packed, parts_of
from isobatch.models.spec.deployed import code_files
from isobatch.models.spec.images import UNIT, Images, View
from isobatch.pipeline.deploy.card import model_card
from isobatch.pipeline.deploy.record import (
    CARD_FILE,
    MODEL_FILES,
    RECORD_FILE,
    SETTINGS_FILE,
    PictureSteps,
    ServedInput,
    Serving,
    StoredFile,
    StoredInputs,
    VerificationRecord,
)
from isobatch.pipeline.deploy.serve import Files
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.storage.files import no_place, write_bytes, write_json

_PICTURES = "folder"  # the input set whose images are pictures that were read


def model_files(folder: Path) -> dict[str, Path]:
    """The files of a model in this folder, by name."""
    return {name: folder / name for name in MODEL_FILES if (folder / name).is_file()}


def stored_files(files: Mapping[str, Path]) -> list[StoredFile]:
    """Their records."""
    return [
        StoredFile.model_validate({"file": name, "sha256": file_sha256(path), "size_bytes": path.stat().st_size})
        for name, path in files.items()
    ]


def store_images(images: NDArray[Any], name: str, file: Path, drawn: int = 0) -> StoredInputs:
    """Write images, of which the last ``drawn`` are noise, to this .npy file, or to an .npz file beside it where the
    network takes several arrays: the record says which.
    """
    content, suffix = packed(images)
    file = file.with_suffix(suffix)
    digest = write_bytes(file, [content])
    return StoredInputs(name=name, file=file.name, sha256=digest, n=len(images), drawn=drawn)


def filled(images: NDArray[Any], count: int, seed: int) -> tuple[NDArray[Any], int]:
    """At least ``count`` images: these, then as many as lack, drawn; how many.

    Floats: normal, of their mean and spread. Whole numbers and switches: at each place that of some image, as they may
    be rows of a table. No image is repeated to fill a batch.
    """
    lacking = max(0, count - len(images))
    draws = np.random.Generator(np.random.PCG64(seed))

    def more(values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind in "iub":
            picked = draws.integers(0, len(values), (lacking, *values.shape[1:]))
            return np.concatenate([values, np.take_along_axis(values, picked, axis=0)])
        noise = draws.standard_normal((lacking, *values.shape[1:]), np.float32)
        spread, middle = np.float32(values.std()), np.float32(values.mean())
        return np.concatenate([values, (noise * spread + middle).astype(values.dtype)])

    return batch_of({name: more(values) for name, values in parts_of(images).items()}), lacking


def serving(
    runtime: str,
    written: Mapping[str, Any],
    threads: int,
    largest: int,
    batch_size: int,
    images: Images,
    view: Mapping[str, Any],
    *,
    outcome: str = "classes",
    batch_axes: Mapping[str, int] = MappingProxyType({}),
) -> Serving:
    """The settings of a loader of such images. ``written``: what the runner's ``write`` said, and a repair's own
    settings.
    """
    taken = [ServedInput.model_validate(vars(field)) for field in images.fields]
    values = {
        "runtime": runtime,
        "threads": threads,
        "largest_batch": largest,
        "batch_size": min(batch_size, largest),
        "shape": images.shape[1:],
        "inputs": tuple(taken),
        "batch_axes": dict(batch_axes),
        "fed": images.fed,
        "outcome": outcome,
        "preprocessing": None if taken else _preprocessing(View.of(view), *images.shape[2:]),
        "preprocessing_measured": images.name == _PICTURES,
    }
    return Serving.model_validate(values | dict(written))


def _preprocessing(view: View, height: int, width: int) -> PictureSteps:
    return PictureSteps(
        height=height,
        width=width,
        short_sides=(view.short_side(height), view.short_side(width)),
        resize_to=view.resize_to,
        forced=view.forced,
        interpolation=view.interpolation,
        mean=view.mean,
        std=view.std,
        scale=None if view.scale == UNIT else view.scale,
        channel_order=view.channel_order,
    )


def deliver(record: VerificationRecord, files: Files, images: Path, folder: Path, facts: Sequence[str]) -> None:
    """All files into the folder, the record last: where it is, the rest is.

    ``images``: the folder in which those of the record are. ``facts``: sentences for the model card.
    """
    for name, path in {**files.model, **{stored.file: images / stored.file for stored in record.inputs}}.items():
        write_bytes(folder / name, [path.read_bytes()])
    for name, data in code_files(record.serving.runtime).items():
        write_bytes(folder / name, [data])
    write_bytes(folder / SETTINGS_FILE, [record.serving.text()])
    write_bytes(folder / CARD_FILE, [model_card(record, facts).encode()])
    write_json(folder / RECORD_FILE, record.model_dump(mode="json"))


def require_empty(folder: Path) -> None:
    """Raise UsageError where there is something at the place to write to, or nothing can be written there."""
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("out-not-empty", f"{folder} exists and is not an empty folder: choose another --out")
    if why := no_place(folder / RECORD_FILE):
        raise UsageError("out-unusable", f"cannot write to {folder}: {why}. Choose another --out")

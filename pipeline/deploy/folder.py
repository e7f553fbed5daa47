"""Writing what is shipped: the model's files as they are, our loader, images to check it on, a card, and the record."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.deployed import code_files
from isobatch.models.spec.images import UNIT, View
from isobatch.pipeline.deploy.card import model_card
from isobatch.pipeline.deploy.record import (
    CARD_FILE,
    MODEL_FILES,
    RECORD_FILE,
    SETTINGS_FILE,
    Preprocessing,
    Serving,
    StoredFile,
    StoredInputs,
    VerificationRecord,
    sha256_of,
)
from isobatch.pipeline.deploy.serve import Files
from isobatch.pipeline.storage.files import write_bytes, write_json

_PICTURES = "folder"  # the input set whose images are pictures that were read


def model_files(folder: Path) -> dict[str, Path]:
    """The files of a model in this folder, by name."""
    return {name: folder / name for name in MODEL_FILES if (folder / name).is_file()}


def stored_files(files: Mapping[str, Path]) -> list[StoredFile]:
    """Their records."""
    facts = {name: (sha256_of(path), path.stat().st_size) for name, path in files.items()}
    return [
        StoredFile.model_validate({"file": name, "sha256": digest, "size_bytes": size})
        for name, (digest, size) in facts.items()
    ]


def store_images(images: NDArray[np.float32], name: str, file: Path, drawn: int = 0) -> StoredInputs:
    """Write float32 images [n, channels, height, width], of which the last ``drawn`` are noise."""
    memory = io.BytesIO()
    np.save(memory, images, allow_pickle=False)
    digest = write_bytes(file, [memory.getvalue()])
    return StoredInputs(name=name, file=file.name, sha256=digest, n=len(images), drawn=drawn)


def filled(images: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.float32], int]:
    """At least ``count`` images: these, then as many as lack, drawn (normal, of their mean and spread); how many.

    No image is repeated to fill a batch.
    """
    lacking = max(0, count - len(images))
    draws = np.random.Generator(np.random.PCG64(seed)).standard_normal((lacking, *images.shape[1:]), np.float32)
    spread, middle = np.float32(images.std()), np.float32(images.mean())
    return np.concatenate([images, draws * spread + middle]), lacking


def serving(
    runtime: str,
    written: Mapping[str, Any],
    threads: int,
    largest: int,
    batch_size: int,
    shape: Sequence[int],
    view: Mapping[str, Any],
    inputs: str,
) -> Serving:
    """The settings of a loader. ``written``: what the runner's ``write`` said, and a repair's own settings."""
    seen = View.from_json(dict(view))
    height, width = shape[1:]
    values = {
        "runtime": runtime,
        "threads": threads,
        "largest_batch": largest,
        "batch_size": min(batch_size, largest),
        "shape": tuple(shape),
        "preprocessing": Preprocessing(
            height=height,
            width=width,
            short_sides=(seen.short_side(height), seen.short_side(width)),
            resize_to=seen.resize_to,
            forced=seen.forced,
            interpolation=seen.interpolation,
            mean=seen.mean,
            std=seen.std,
            scale=None if seen.scale == UNIT else seen.scale,
            channel_order=seen.channel_order,
        ),
        "preprocessing_measured": inputs == _PICTURES,
    }
    return Serving.model_validate(values | dict(written))


def deliver(
    record: VerificationRecord, files: Files, inputs: Mapping[str, Path], folder: Path, facts: Sequence[str]
) -> None:
    """All files into the folder, the record last: where it is, the rest is. ``facts``: sentences for the model card."""
    for name, path in {**files.model, **inputs}.items():
        write_bytes(folder / name, [path.read_bytes()])
    for name, data in code_files(record.serving.runtime).items():
        write_bytes(folder / name, [data])
    write_bytes(folder / SETTINGS_FILE, [record.serving.text()])
    write_bytes(folder / CARD_FILE, [model_card(record, facts).encode()])
    write_json(folder / RECORD_FILE, record.model_dump(mode="json"))

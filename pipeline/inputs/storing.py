"""Prepared images to disk, one at a time; and what can be told from the stored bytes: distinct images, overlap."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isobatch.models.spec.images import IMAGENET, Field, Images, View
from isobatch.pipeline.inputs.request import InputError
from isobatch.pipeline.storage.files import write_bytes

Part = Literal["evaluation", "calibration", "labelled"]


def part_name(name: str, part: Part) -> str:
    """What a part of the set ``name`` is called; the evaluation part carries the name of the set."""
    return name if part == "evaluation" else f"{name}-{part}"


def digest(row: NDArray[Any]) -> bytes:
    """The SHA-256 of one image's bytes: what "the same image" means here."""
    return hashlib.sha256(row.tobytes()).digest()


def store_images(name: str, path: Path, rows: Iterable[NDArray[Any]], view: View = IMAGENET) -> Images:
    """Write images to ``path`` as they come, holding one at a time; returns the set, which pixels leave normalised.

    Rows are all uint8 [h, w, c], red first, all float32 [c, h, w], or all records of arrays that are used as they are;
    of one shape (ValueError otherwise). Raises InputError when there are none.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise InputError("no-images", f"no image is left for {name!r}: run again when the images are at rest")
    count = 0

    def chunks() -> Iterator[bytes]:
        nonlocal count
        for row in chain([first], rows):
            if (row.dtype, row.shape) != (first.dtype, first.shape):
                raise ValueError(f"image {count} of {name!r} is {row.dtype} {row.shape}, others {first.shape}")
            count += 1
            swapped = row.dtype == np.uint8 and view.channel_order == "bgr"
            yield (row[..., ::-1] if swapped else row).tobytes()

    sha256 = write_bytes(path, chunks())
    if first.dtype.names is not None:
        fields = tuple(Field(key, first.dtype[key].base.name, first.dtype[key].shape) for key in first.dtype.names)
        images = Images(name, str(path), "arrays", (count, *fields[0].shape), sha256, fields=fields)
    elif first.dtype == np.uint8:
        height, width, channels = first.shape
        shape = count, channels, height, width
        images = Images(name, str(path), "uint8", shape, sha256, view.mean, view.std, view.scale)
    else:
        channels, height, width = first.shape
        images = Images(name, str(path), "float32", (count, channels, height, width), sha256)
    return replace(images, unique=len(contents(images)))


def in_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """uint8 [h, w, 3] as the network sees colours: [h, w, 3], or grey [h, w, 1]. Raises InputError for other counts."""
    if channels == 3:
        return pixels
    if channels == 1:
        return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, np.newaxis]
    raise InputError(
        "npy-shape",
        f"pictures have 3 channels, or 1 where they are grey, and the network takes {channels}: "
        f"give --inputs FILE.npy [n, {channels}, height, width]",
    )


def contents(images: Images) -> set[bytes]:
    """The digests of the stored images: 32 bytes each, whatever the size of an image."""
    digests = set()
    with open(images.path, "rb") as file:
        while row := file.read(images.image_bytes):
            digests.add(hashlib.sha256(row).digest())
    return digests


def require_disjoint(evaluation: Images, calibration: Images) -> None:
    """Raise InputError when an image is in both sets: scales fitted to the images they are judged on prove little."""
    shared = len(contents(evaluation) & contents(calibration))
    if shared:
        raise InputError(
            "calibration-overlap",
            f"{shared} of the {len(evaluation)} evaluation images of {evaluation.name!r} are also among its "
            f"{len(calibration)} calibration images: give other images to one of the two",
        )

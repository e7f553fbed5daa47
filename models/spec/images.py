"""A stored set of prepared images: what every builder and worker reads, in slices, without loading the set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.plain import Plain

Size = int | tuple[int, int]
"""The side of a square in pixels, or height and width."""

UNIT = 1 / 255
"""What makes values of 0 to 1 of pixels."""


def sides(size: Size | list[int]) -> tuple[int, int]:
    """Height and width."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


@dataclass(frozen=True)
class View(Plain):
    """How pixels become what a network was trained on: torchvision's evaluation transform, unless said otherwise.

    The short side is resized to ``resize`` pixels, or the picture to the (height, width) of ``resize_to``; a centre of
    ``size`` x ``size`` is cut out; and pixels of 0 to 255 times ``scale`` are normalised by ``mean`` and ``std``, one
    for each channel in the network's order. The defaults are those of ``IMAGENET``.
    """

    size: int = 224
    resize: int = 256
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = UNIT
    channel_order: Literal["rgb", "bgr"] = "rgb"
    resize_to: tuple[int, int] | None = None
    forced: bool = False  # a picture that has the size already is resized and cut all the same

    def short_side(self, size: int) -> int:
        """The short side in pixels before a centre of ``size`` is cut out: in the proportion of this view."""
        return round(size * self.resize / self.size)


IMAGENET = View()
"""What most of torchvision's weights ask for."""


@dataclass(frozen=True)
class Field:
    """One array of a set of arrays."""

    name: str
    dtype: str  # as numpy names it
    shape: tuple[int, ...]  # of one image


def record_type(fields: Sequence[Field]) -> np.dtype[Any]:
    """The type of one image of a set of arrays: its fields in order, without gaps."""
    return np.dtype([(field.name, np.dtype(field.dtype).newbyteorder("<"), field.shape) for field in fields])


@dataclass(frozen=True)
class Images(Plain):
    """One image set on disk: raw bytes plus what is needed to read them."""

    name: str
    path: str
    # uint8: NHWC pixels, normalised on reading. float32: NCHW, used as it is. arrays: for each image the ``fields``
    # one after the other, used as they are.
    dtype: Literal["uint8", "float32", "arrays"]
    shape: tuple[int, ...]  # (n, channels, height, width) as the network sees it; with fields: of the first
    sha256: str  # of the file's bytes
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = UNIT  # of pixels, before mean and std
    labels: tuple[int, ...] | None = None  # one class index per image
    unique: int | None = None  # distinct images by content
    fields: tuple[Field, ...] = ()  # of a set of arrays
    fed: str = ""  # how pictures are handed over where not as "NCHW float32": "NHWC uint8"
    groups: tuple[int, ...] | None = None  # by image the photograph that it is a crop of, where some share one

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored image."""
        if self.fields:
            return record_type(self.fields).itemsize
        _, channels, height, width = self.shape
        return channels * height * width * np.dtype(self.dtype).itemsize

    @property
    def seen_sha256(self) -> str:
        """Of what the network sees: the stored bytes, and for pixels what is made of them."""
        made = repr((self.sha256, self.mean, self.std, self.scale) if self.dtype == "uint8" else (self.sha256,))
        if not self.fed and self.dtype != "uint8":
            return self.sha256
        return hashlib.sha256(f"{made}{self.fed}".encode()).hexdigest()

    @property
    def side(self) -> int:
        """Pixels from top to bottom; of what is no picture, the length of its first axis."""
        if len(self.shape) == 4 and not (self.fields and self.shape[1] > 4 >= self.shape[3]):
            return self.shape[2]
        return self.shape[1] if len(self.shape) > 1 else 1

    @property
    def values(self) -> int:
        """How many values one image has."""
        if self.fields:
            return sum(math.prod(field.shape) for field in self.fields)
        return math.prod(self.shape[1:])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Images ``start`` to ``stop``, ready for the network: one array with the images on its first axis.

        Pictures are float32 [stop - start, channels, height, width], or as ``fed`` says. Of a set with several fields
        each element is a record, and ``array[name]`` is the array of one field. Raises ValueError when the range leaves
        the set or the file is shorter than it says.
        """
        count = len(self)
        if not 0 <= start <= stop <= count:
            raise ValueError(f"images {start} to {stop} asked of {self.name!r}, which has {count}")
        with open(self.path, "rb") as file:
            file.seek(start * self.image_bytes)
            raw = file.read((stop - start) * self.image_bytes)
        if len(raw) != (stop - start) * self.image_bytes:
            raise ValueError(f"the stored images of {self.name!r} are cut short: delete {self.path} and run again")
        if self.fields:
            records = np.frombuffer(raw, record_type(self.fields))
            return np.array(records if len(self.fields) > 1 else records[self.fields[0].name])
        _, channels, height, width = self.shape
        if self.dtype == "float32":
            return self._handed(np.frombuffer(raw, "<f4").reshape(-1, channels, height, width).astype(np.float32))
        pixels = np.frombuffer(raw, np.uint8).reshape(stop - start, height, width, channels)
        if self.fed.endswith("uint8"):
            return self._handed(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        return self._handed(normalise(pixels, self.mean, self.std, self.scale))

    def _handed(self, images: NDArray[Any]) -> NDArray[Any]:
        """NCHW pictures as ``fed`` says."""
        if not self.fed:
            return images
        layout, kind = self.fed.split()
        with np.errstate(over="ignore"):
            images = images.astype(kind, copy=False)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if layout == "NHWC" else images


def normalise(
    pixels: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...], scale: float = UNIT
) -> NDArray[np.float32]:
    """uint8 [n, h, w, c] pixels to contiguous float32 [n, c, h, w]: ``(pixel * scale - mean) / std``, in that order.

    A scale of ``UNIT`` is a division by 255, as torchvision's, whose rounding is another one.

    Each step is one IEEE float32 operation per element, so every machine gives the same bytes.
    """
    values = pixels.astype(np.float32)
    scaled = values / np.float32(255) if scale == UNIT else values * np.float32(scale)
    centred = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))

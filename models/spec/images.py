"""A stored set of prepared images: what every builder and worker reads, in slices, without loading the set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """How pixels become what a network was trained on: torchvision's evaluation transform.

    The short side is resized to ``resize`` pixels, a centre of ``size`` x ``size`` is cut out, and values of 0 to 1
    are normalised by ``mean`` and ``std`` per channel. The defaults are those of ``IMAGENET``.
    """

    size: int = 224
    resize: int = 256
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def short_side(self, size: int) -> int:
        """The short side in pixels before a centre of ``size`` is cut out: in the proportion of this view."""
        return round(size * self.resize / self.size)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> View:
        """The inverse of ``dataclasses.asdict``, also after a way through JSON."""
        return cls(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})


IMAGENET = View()
"""What most of torchvision's weights ask for."""


@dataclass(frozen=True)
class Images:
    """One image set on disk: raw bytes plus what is needed to read them.

    ``dtype`` is ``uint8`` (NHWC pixels, normalised on reading) or ``float32`` (NCHW, used as it is).
    ``sha256`` is of the file's bytes. ``labels`` holds one class index per image, or nothing.
    """

    name: str
    path: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int, int, int, int]  # (n, channels, height, width) as the network sees it, whatever the storage
    sha256: str
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    labels: tuple[int, ...] | None = None
    unique: int | None = None  # distinct images by content
    groups: tuple[int, ...] | None = None  # by image the photograph that it is a crop of, where some share one

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored image."""
        _, channels, height, width = self.shape
        return channels * height * width * np.dtype(self.dtype).itemsize

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Images ``start`` to ``stop`` as float32 [stop - start, channels, height, width], ready for the network.

        Raises ValueError when the range leaves the set or the file is shorter than it says.
        """
        count, channels, height, width = self.shape
        if not 0 <= start <= stop <= count:
            raise ValueError(f"images {start} to {stop} asked of {self.name!r}, which has {count}")
        with open(self.path, "rb") as file:
            file.seek(start * self.image_bytes)
            raw = file.read((stop - start) * self.image_bytes)
        if len(raw) != (stop - start) * self.image_bytes:
            raise ValueError(f"the stored images of {self.name!r} are cut short: delete {self.path} and run again")
        if self.dtype == "float32":
            return np.frombuffer(raw, "<f4").reshape(stop - start, channels, height, width).astype(np.float32)
        pixels = np.frombuffer(raw, np.uint8).reshape(stop - start, height, width, channels)
        return normalise(pixels, self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        """The set as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Images:
        """The inverse of ``to_json``."""
        labels, groups = data.get("labels"), data.get("groups")
        return cls(
            **{
                **data,
                "shape": tuple(data["shape"]),
                "mean": tuple(data["mean"]),
                "std": tuple(data["std"]),
                "labels": None if labels is None else tuple(labels),
                "groups": None if groups is None else tuple(groups),
            }
        )


def normalise(
    pixels: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """uint8 [n, h, w, c] pixels to contiguous float32 [n, c, h, w]: ``(pixel / 255 - mean) / std``, in that order.

    Each step is one IEEE float32 operation per element, so every machine gives the same bytes.
    """
    scaled = pixels.astype(np.float32) / np.float32(255)
    centred = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))

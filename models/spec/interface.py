"""What a network takes: its named input arrays, as far as its graph tells them. Imports no runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Layout = Literal["NCHW", "NHWC", ""]

_SIDE, _LENGTH, _COLOURS = 224, 16, 3  # of made-up images, where the graph leaves them free
_CHANNELS = (1, 3, 4)  # of pictures: grey, colour, colour with transparency


@dataclass(frozen=True)
class Input:
    """One input array."""

    name: str
    dtype: str  # as numpy names it
    shape: tuple[int | None, ...]  # of one image, without the batch axis; None: free
    below: int | None = None  # of numbers that look up rows of a table: how many rows the smallest one has

    @property
    def layout(self) -> Layout:
        """Where the channels of a picture are; empty for what is no picture.

        By the axis that has 1, 3 or 4 places; the first such axis where both have, and NCHW where neither is known.
        """
        if len(self.shape) != 3 or self.dtype in ("int64", "int32", "bool"):
            return ""
        first, _, last = self.shape
        if first in _CHANNELS or (first is None and last not in _CHANNELS):
            return "NCHW"
        return "NHWC" if last in _CHANNELS else ""

    @property
    def channels(self) -> int | None:
        """Of a picture: 1, 3 or 4; None where free, or where this is no picture."""
        return {"NCHW": self.shape[0], "NHWC": self.shape[-1]}.get(self.layout)

    @property
    def of_pictures(self) -> bool:
        """Whether pictures, which are colour or grey, can be made into this."""
        return self.layout != "" and self.channels in (1, 3, None)

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Height and width of a picture, each None where free; both None for what is no picture."""
        if not self.layout:
            return None, None
        height, width = self.shape[1:] if self.layout == "NCHW" else self.shape[:2]
        return height, width

    @property
    def usual(self) -> bool:
        """Whether this takes the pictures of this project as they are stored: float32 [3, height, width]."""
        return self.dtype == "float32" and self.layout == "NCHW" and self.channels in (3, None)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """A shape that one image may have, free axes filled in."""
        if not self.layout:
            return tuple(axis or _LENGTH for axis in self.shape)
        height, width = (side or _SIDE for side in self.sides)
        colours = self.channels or _COLOURS
        return (colours, height, width) if self.layout == "NCHW" else (height, width, colours)

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether an image of that shape fits."""
        return len(shape) == len(self.shape) and all(
            own in (None, given) for own, given in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        """``images: float32 [n, 3, any, any]``."""
        axes = ", ".join("any" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name}: {self.dtype} [n{', ' if axes else ''}{axes}]"

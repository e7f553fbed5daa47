"""The flags that say what pictures are made into, and the view that they leave of a default."""

import argparse
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from isobatch.models.spec.images import UNIT, Size, View, sides
from isobatch.pipeline.config.numbers import whole
from isobatch.pipeline.records.errors import UsageError

INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
LEAST_SIDE = 1
_MOST_SIDE = 8192
_MOST_VALUES = 64


@dataclass(frozen=True)
class PreprocessingAsked:
    """What was asked for; None: as the weights, a file beside them, or ImageNet has it."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    resize: Size | None = None
    crop: Size | None = None
    interpolation: Literal["bilinear", "bicubic", "nearest"] | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    layout: Literal["nchw", "nhwc"] | None = None  # of arrays in files


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """Add the flags, shared by the study and ``repair``."""
    group = parser.add_argument_group("preprocessing (by default that of the weights, else ImageNet's)")
    group.add_argument(
        "--mean", metavar="M", help="subtract it after --scale: one number, or one a channel (default: of the weights)"
    )
    group.add_argument(
        "--std", metavar="S", help="divide by it after --mean: one number, or one a channel (default: of the weights)"
    )
    group.add_argument(
        "--scale", metavar="F", help="multiply pixels of 0 to 255 by this: 1 or 1/255 (default: of the weights)"
    )
    group.add_argument(
        "--resize", metavar="S", help="resize the short side to S, or to height x width (default: of the weights)"
    )
    group.add_argument("--crop", metavar="S", help="cut out the centre: S, or height x width (default: of the weights)")
    group.add_argument("--interpolation", choices=INTERPOLATIONS, help="how to resize (default: of the weights)")
    group.add_argument(
        "--channel-order", choices=("rgb", "bgr"), help="the order that the network takes (default: of the weights)"
    )
    group.add_argument(
        "--layout", choices=("nchw", "nhwc"), help="the axes of arrays in files (default: as their shape says)"
    )


def read_preprocessing(arguments: argparse.Namespace) -> PreprocessingAsked:
    """What the flags say. Raises UsageError: which flag, what it was given, what it can be."""
    return PreprocessingAsked(
        mean=_values("--mean", arguments.mean),
        std=_values("--std", arguments.std, positive=True),
        scale=_value("--scale", arguments.scale, positive=True) if arguments.scale is not None else None,
        resize=None if arguments.resize is None else read_size("--resize", arguments.resize),
        crop=None if arguments.crop is None else read_size("--crop", arguments.crop),
        interpolation=arguments.interpolation,
        channel_order=arguments.channel_order,
        layout=arguments.layout,
    )


def read_size(flag: str, text: str, least: int = LEAST_SIDE) -> Size:
    """``224``, or height and width, ``64x128``; equal ones are one. Raises UsageError."""
    height, times, width = text.lower().partition("x")
    first = whole(flag, height.strip(), least, _MOST_SIDE)
    second = whole(flag, width.strip(), least, _MOST_SIDE) if times else first
    return first if first == second else (first, second)


def view_asked(default: View, asked: PreprocessingAsked, image_size: Size | None, channels: int) -> tuple[View, Size]:
    """The default view with what was asked in its place, and the size of the images. Raises UsageError."""
    for flag, values in (("--mean", asked.mean), ("--std", asked.std)):
        if values is not None and len(values) not in (1, channels):
            raise UsageError("bad-number", f"{flag} has {len(values)} numbers: give one, or {channels}, one a channel")
    exact = asked.resize if isinstance(asked.resize, tuple) else None
    size = asked.crop or image_size or exact or default.size
    if asked.crop is not None and image_size is not None and asked.crop != image_size:
        raise UsageError("usage", "--crop and --image-size are two sizes of the images: leave one of them out")
    height, width = sides(size)
    view = replace(
        default,
        mean=_each(asked.mean or default.mean, channels),
        std=_each(asked.std or default.std, channels),
        scale=asked.scale or default.scale,
        interpolation=asked.interpolation or default.interpolation,
        channel_order=asked.channel_order or default.channel_order,
    )
    if asked.resize is None and asked.crop is not None and default.resize_to is None:
        view = replace(view, forced=True)
    if exact is not None:
        view = replace(view, resize_to=exact, forced=True)
        if exact[0] < height or exact[1] < width:
            raise UsageError(
                "usage", f"--resize {exact[0]}x{exact[1]} is smaller than what is cut out, {height}x{width}"
            )
    elif isinstance(asked.resize, int):
        if height != width:
            raise UsageError(
                "usage", f"--resize {asked.resize} is a short side, and {height}x{width} no square: give --resize HxW"
            )
        if asked.resize < height:
            raise UsageError("usage", f"--resize {asked.resize} is smaller than what is cut out, {height}: give --crop")
        view = replace(view, size=height, resize=asked.resize, resize_to=None, forced=True)
    elif default.resize_to is not None and sides(default.size) != (height, width):
        share = default.resize_to[0] / default.size
        view = replace(view, resize_to=(round(height * share), round(width * share)))
    return view, size


def _each(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value a channel; of another number of channels, their mean for each."""
    return values if len(values) == channels else (round(sum(values) / len(values), 6),) * channels


def _values(flag: str, text: str | None, *, positive: bool = False) -> tuple[float, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) > _MOST_VALUES:
        raise UsageError("bad-number", f"{flag} has {len(parts)} numbers: give one, or one a channel")
    return tuple(_value(flag, part, positive=positive) for part in parts)


def _value(flag: str, text: str, *, positive: bool = False) -> float:
    try:
        value = float(Fraction(text.strip())) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        value = float("nan")
    if not abs(value) < 1e6 or (positive and value <= 0):
        kind = "a number above 0" if positive else "a number"
        raise UsageError("bad-number", f"{flag} {text.strip()!r} is not {kind}, such as 0.5 or 1/255")
    return UNIT if abs(value - UNIT) < 1e-6 and flag == "--scale" else value

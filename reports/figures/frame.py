"""The frame of the picture: what is drawn of a variant, and the scales between its values and pixels.

And what every picture with a logarithmic axis needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, NOISE_HEIGHT, BAND_HEAD, BAND_ROW = 820, 300, 28, 25
_TINIEST, _HUGEST = 1e-290, 1e290  # beyond them the next decade is no longer a number


def drawable(value: float) -> bool:
    """Whether a value has a place on a logarithmic axis."""
    return 0 < value < math.inf


def bounded(value: float) -> float:
    """The value, or the nearest one that has decades around it."""
    return min(max(value, _TINIEST), _HUGEST)


def decades(values: Iterable[float], below: float, above: float) -> tuple[int, int]:
    """The powers of ten around those of these values that have a place, with so many decades of room on either side."""
    levels = [math.log10(bounded(value)) for value in values if drawable(value)]
    return math.floor(min(levels) - below), math.ceil(max(levels) + above)


def log_axis(title: str, low: int, high: int, most: int) -> dict[str, Any]:
    """An axis from one power of ten to another in Vega-Lite, with a tick at so many decades at most."""
    step = max(1, math.ceil((high - low) / most))
    return {
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "domain": [10.0**low, 10.0**high], "nice": False},
        "axis": {"values": [10.0**decade for decade in range(low, high + 1, step)], "format": ".0e"},
    }


@dataclass(frozen=True)
class Dot:
    """A variant as drawn."""

    name: str
    speed: float  # images a second
    noise: float  # relative, 0 for equal bytes
    verdict: str
    loss: str
    chosen: bool
    words: str  # on hover
    native: str | None = None  # of a repaired variant the name of the dot to join it to
    limits: tuple[float, float] | None = None  # 95 % limits of the speed


@dataclass(frozen=True)
class LogScale:
    """A logarithmic axis: the value at its first pixel, that at its last, and how many pixels lie between."""

    first: float
    last: float
    length: float

    def pixels(self, value: float) -> float:
        """Where the value stands."""
        return self.length * (math.log10(value) - math.log10(self.first)) / self._decades

    def value(self, pixels: float) -> float:
        """What stands there."""
        return float(10 ** (math.log10(self.first) + self._decades * pixels / self.length))

    @property
    def _decades(self) -> float:
        return math.log10(self.last) - math.log10(self.first)


@dataclass(frozen=True)
class Frame:
    """The scales of both axes; below the noise lies the band."""

    speeds: LogScale  # from the left
    noises: LogScale  # from the top
    height: float  # pixels

    @classmethod
    def around(cls, dots: Sequence[Dot]) -> Frame:
        """The frame that holds these dots: whole decades of noise, a row of the band for each dot of equal bytes."""
        speeds = [dot.speed for dot in dots]
        low, high = decades([dot.noise for dot in dots if dot.noise] or [1e-6], 0.1, 0.1)
        band = BAND_HEAD + BAND_ROW * max(1, sum(dot.noise == 0 for dot in dots))
        return cls(
            LogScale(min(speeds) / 1.25, max(speeds) * 1.5, WIDTH),
            LogScale(10.0**high, 10.0**low, NOISE_HEIGHT),
            NOISE_HEIGHT + band,
        )


def outermost(dots: Sequence[Dot]) -> list[Dot]:
    """The dots that no other beats in speed and steadiness at once, fastest first."""
    outer: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (-dot.speed, dot.noise)):
        if not outer or dot.noise < outer[-1].noise:
            outer.append(dot)
    return outer

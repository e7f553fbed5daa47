"""The frame of the picture: what is drawn of a variant, and the scales between its values and pixels.

And what every picture with a logarithmic axis needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """A variant as drawn: ``speed`` in images a second; ``noise`` relative, 0 for equal bytes; ``words`` on hover.

    ``native``: of a repaired variant the name of the dot to join it to. ``limits``: 95 % limits of the speed.
    """

    name: str
    speed: float
    noise: float
    verdict: str
    loss: str
    chosen: bool
    words: str
    native: str | None = None
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Frame:
    """The scales: domains of both logarithmic axes. Below ``noise_low`` lies the band; ``height`` in pixels."""

    slow: float
    fast: float
    noise_low: float
    noise_high: float
    height: float

    @classmethod
    def around(cls, dots: Sequence[Dot]) -> Frame:
        """The frame that holds these dots: whole decades of noise, a row of the band for each dot of equal bytes."""
        noises = [bounded(dot.noise) for dot in dots if dot.noise > 0] or [1e-6]
        speeds = [dot.speed for dot in dots]
        low, high = math.floor(math.log10(min(noises)) - 0.1), math.ceil(math.log10(max(noises)) + 0.1)
        band = BAND_HEAD + BAND_ROW * max(1, sum(dot.noise == 0 for dot in dots))
        return cls(min(speeds) / 1.25, max(speeds) * 1.5, 10.0**low, 10.0**high, NOISE_HEIGHT + band)

    def x(self, speed: float) -> float:
        """Pixels from the left."""
        return WIDTH * math.log(speed / self.slow) / math.log(self.fast / self.slow)

    def speed(self, x: float) -> float:
        """The speed that lies at so many pixels from the left."""
        return float(self.slow * (self.fast / self.slow) ** (x / WIDTH))

    def y(self, noise: float) -> float:
        """Pixels from the top."""
        return NOISE_HEIGHT * math.log(self.noise_high / noise) / math.log(self.noise_high / self.noise_low)

    def noise(self, y: float) -> float:
        """The noise that lies at so many pixels from the top."""
        return float(self.noise_high * (self.noise_low / self.noise_high) ** (y / NOISE_HEIGHT))


def outermost(dots: Sequence[Dot]) -> list[Dot]:
    """The dots that no other beats in speed and steadiness at once, fastest first."""
    outer: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (-dot.speed, dot.noise)):
        if not outer or dot.noise < outer[-1].noise:
            outer.append(dot)
    return outer

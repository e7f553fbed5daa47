"""The specification of the picture of growth: one line a variant over its layers, each with its name at its end."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isobatch.reports.figures.frame import LogScale, bounded, decades, drawable, log_axis

_WIDTH, _HEIGHT, _NAMES_PX, _LABEL_PX = 820, 380, 150, 15
_END = 100 * _WIDTH / (_WIDTH - _NAMES_PX)  # the axis goes on to the right of 100 %, where the names stand
_COLOURS = 8
_DASHES = ([1, 0], [8, 3], [3, 3], [10, 3, 2, 3])
_MOST_TICKS = 9


@dataclass(frozen=True)
class Growing:
    """One variant's line: a value for each layer in execution order, 0 where the bytes are equal."""

    name: str
    values: Sequence[float]
    origin: int | None  # the place of the first origin among the layers; its value is above 0
    words: str  # on hover
    origin_words: str  # likewise

    def point(self, place: int) -> dict[str, Any]:
        """The value at that layer, and how much of the network has been run up to it, in percent."""
        layers = 100 * (place + 1) / len(self.values)
        return {"name": self.name, "layers": layers, "value": bounded(self.values[place])}


def spread(ys: Sequence[float], gap: float, height: float) -> list[float]:
    """The places nearest to ``ys`` (pixels from the top) that lie ``gap`` apart and, as far as they fit, inside."""
    order = sorted(range(len(ys)), key=ys.__getitem__)
    placed = list(ys)
    for above, below in itertools.pairwise(order):
        placed[below] = max(placed[below], placed[above] + gap)
    limit = height
    for at in reversed(order):
        placed[at] = min(placed[at], limit)
        limit = placed[at] - gap
    return placed


def specification(lines: Sequence[Growing]) -> dict[str, Any]:
    """The picture in Vega-Lite. ``lines`` is not empty, and each has a value above 0 that is finite."""
    low, high = decades((value for line in lines for value in line.values), 0.05, 0.05)
    x, y = _axes(low, high)
    names = [line.name for line in lines]
    colour = {
        "field": "name",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": names, "range": [f"var(--line-{at % _COLOURS + 1})" for at in range(len(names))]},
    }
    dash = {"scale": {"domain": names, "range": [_DASHES[at % len(_DASHES)] for at in range(len(names))]}}
    at = {"x": x | {"field": "layers"}, "y": y | {"field": "value"}}
    part = {"detail": {"field": "part"}, "strokeDash": colour | dash}
    ends = _ends(lines, LogScale(10.0**high, 10.0**low, _HEIGHT))
    origins = [line.point(line.origin) | {"words": line.origin_words} for line in lines if line.origin is not None]
    origin = {"type": "point", "shape": "circle", "size": 110, "stroke": "var(--paper)", "strokeWidth": 1.5}
    text = {"type": "text", "align": "left", "baseline": "middle", "fontSize": 12.5, "aria": False}
    link = {"type": "rule", "strokeWidth": 1, "strokeDash": [1, 2], "aria": False}
    label = {"x": x | {"field": "text_at"}, "y": y | {"field": "text_value"}}
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "layer": [
            {
                "data": {"values": [point for line in lines for point in _points(line)]},
                "mark": {"type": "line", "strokeWidth": 2, "strokeCap": "round"},
                "encoding": at | part | {"stroke": colour, "description": {"field": "words"}},
            },
            {
                "data": {"values": origins},
                "mark": origin | {"opacity": 1},
                "encoding": at | {"fill": colour, "description": {"field": "words"}},
            },
            {
                "data": {"values": ends},
                "mark": link,
                "encoding": at | {"x2": {"field": "text_at"}, "y2": {"field": "text_value"}, "stroke": colour},
            },
            {
                "data": {"values": ends},
                "mark": text | {"dx": 5},
                "encoding": label | {"text": {"field": "name"}, "fill": colour},
            },
        ],
    }


def _axes(low: int, high: int) -> tuple[dict[str, Any], dict[str, Any]]:
    x = {
        "type": "quantitative",
        "title": "Layers run, in execution order, % of the variant's layers",
        "scale": {"domain": [0, _END], "nice": False},
        "axis": {"values": [0, 20, 40, 60, 80, 100], "grid": False, "titleAnchor": "start"},
    }
    return x, log_axis("Relative L2 of batched - alone", low, high, _MOST_TICKS)


def _points(line: Growing) -> list[dict[str, Any]]:
    """The line's points; where it is interrupted by a value without a place, another part of it begins."""
    points, part = [], 0
    for place, value in enumerate(line.values):
        if not drawable(value):
            part += 1
            continue
        points.append(line.point(place) | {"part": part, "words": line.words})
    return points


def _ends(lines: Sequence[Growing], scale: LogScale) -> list[dict[str, Any]]:
    ends = [line.point(max(at for at, value in enumerate(line.values) if drawable(value))) for line in lines]
    levels = spread([scale.pixels(end["value"]) for end in ends], _LABEL_PX, _HEIGHT)
    text_at = 100 + (_END - 100) * 0.1
    return [
        end | {"text_at": text_at, "text_value": scale.value(level)} for end, level in zip(ends, levels, strict=True)
    ]

"""The specification of the picture: throughput against batch noise, with a band of its own for equal bytes."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from isobatch.reports.figures.frame import BAND_HEAD, BAND_ROW, NOISE_HEIGHT, WIDTH, Dot, Frame, outermost
from isobatch.reports.figures.labels import Box, place

_SHAPES = {
    "batch-invariant": "circle",
    "top1-stable": "diamond",
    "batch-variant": "triangle-up",
    "not-repeatable": "cross",
    "invalid": "square",
}
LOSSES = {
    "up to 0.5 points": "var(--loss-none)",
    "0.5 to 2 points": "var(--loss-some)",
    "over 2 points": "var(--loss-much)",
    "not measured": "var(--loss-unknown)",
}
"""The words for the accuracy drop, each with its colour."""


def specification(dots: Sequence[Dot]) -> dict[str, Any]:
    """The picture in Vega-Lite: band, dotted line, a ring around the choice, marks and their names.

    ``dots`` is not empty, and its speeds and noises are finite.
    """
    dots = sorted(dots, key=lambda dot: -dot.speed)
    frame = Frame.around(dots)
    x, y = _scales(frame)
    at = {"x": x | {"field": "speed"}, "y": y | {"field": "level"}}
    values = _values(dots, frame)
    best = {dot.name for dot in outermost(dots)}
    step = {"type": "line", "interpolate": "step-before", "stroke": "var(--muted)", "strokeDash": [2, 3]}
    ring = {"type": "point", "shape": "circle", "size": 380, "stroke": "var(--ink)", "strokeWidth": 1.5, "opacity": 1}
    mark = {"type": "point", "size": 150, "stroke": "var(--paper)", "strokeWidth": 1, "opacity": 1}
    return {
        "width": WIDTH,
        "height": frame.height,
        "data": {"values": values},
        "layer": [
            *_band(frame, x, y, empty=all(dot.noise for dot in dots)),
            {
                "data": {"values": [value for value in values if value["name"] in best]},
                "mark": step | {"strokeWidth": 1.5, "aria": False},
                "encoding": at,
            },
            *_joins(dots, values, at),
            *_limits(dots, values, frame, x, y),
            {"transform": [{"filter": "datum.chosen"}], "mark": ring | {"aria": False}, "encoding": at},
            {"mark": mark, "encoding": at | _meaning(dots)},
            *(_names(x, y, align, chosen) for align in ("left", "right", "center") for chosen in (False, True)),
        ],
    }


def _scales(frame: Frame) -> tuple[dict[str, Any], dict[str, Any]]:
    decades = range(round(math.log10(frame.noises.last)), round(math.log10(frame.noises.first)) + 1)
    speeds = [
        m * 10.0**p for p in range(-6, 9) for m in (1, 2, 5) if frame.speeds.first < m * 10.0**p < frame.speeds.last
    ]
    x = {
        "type": "quantitative",
        "title": "Throughput at the best N, per second (faster →)",
        "scale": {"type": "log", "domain": [frame.speeds.first, frame.speeds.last], "nice": False},
        "axis": {"values": speeds, "format": "~r", "grid": False},
    }
    y = {
        "type": "quantitative",
        "title": "Batch noise, relative (← steadier)",
        "scale": {"type": "log", "domain": [frame.noises.value(frame.height), frame.noises.first], "nice": False},
        "axis": {"values": [10.0**d for d in decades], "format": ".0e"},
    }
    return x, y


def _meaning(dots: Sequence[Dot]) -> dict[str, Any]:
    """Shape for the verdict, colour for the accuracy; legends of what occurs only."""
    shapes = {verdict: shape for verdict, shape in _SHAPES.items() if any(dot.verdict == verdict for dot in dots)}
    losses = {loss: colour for loss, colour in LOSSES.items() if any(dot.loss == loss for dot in dots)}
    legend = {"orient": "top", "direction": "horizontal", "symbolSize": 120, "symbolStrokeWidth": 0}
    return {
        "shape": {
            "field": "verdict",
            "type": "nominal",
            "title": "Verdict",
            "scale": {"domain": list(shapes), "range": list(shapes.values())},
            "legend": legend | {"symbolFillColor": "var(--muted)"},
        },
        "fill": {
            "field": "loss",
            "type": "nominal",
            "title": "Accuracy drop",
            "scale": {"domain": list(losses), "range": list(losses.values())},
            "legend": legend,
        },
        "description": {"field": "words"},
    }


def _values(dots: Sequence[Dot], frame: Frame) -> list[dict[str, Any]]:
    levels = _levels(dots, frame)
    spots = [
        (frame.speeds.pixels(dot.speed), frame.noises.pixels(level), dot.name)
        for dot, level in zip(dots, levels, strict=True)
    ]
    line = [spot for dot, spot in zip(dots, spots, strict=True) if dot in outermost(dots)]
    places = place(spots, WIDTH, frame.height, _steps(line))
    return [
        {
            "name": dot.name,
            "speed": dot.speed,
            "level": level,
            "verdict": dot.verdict,
            "loss": dot.loss,
            "chosen": dot.chosen,
            "words": dot.words,
            "text_speed": frame.speeds.value(label.x),
            "text_level": frame.noises.value(label.y),
            "align": label.align,
        }
        for dot, level, label in zip(dots, levels, places, strict=True)
    ]


def _joins(dots: Sequence[Dot], values: Sequence[dict[str, Any]], at: dict[str, Any]) -> list[dict[str, Any]]:
    """A thin line from each repaired variant to the unrepaired one, where both are drawn."""
    spots = {value["name"]: value for value in values}
    pairs = [(dot.name, dot.native) for dot in dots if dot.native is not None and dot.native in spots]
    ends = [
        {"pair": pair[0], "speed": spots[name]["speed"], "level": spots[name]["level"]}
        for pair in pairs
        for name in pair
    ]
    if not ends:
        return []
    mark = {"type": "line", "stroke": "var(--muted)", "strokeWidth": 1, "opacity": 0.6, "aria": False}
    return [{"data": {"values": ends}, "mark": mark, "encoding": at | {"detail": {"field": "pair"}}}]


def _limits(
    dots: Sequence[Dot], values: Sequence[dict[str, Any]], frame: Frame, x: dict[str, Any], y: dict[str, Any]
) -> list[dict[str, Any]]:
    """A faint bar below each dot over the 95 % limits of its speed, cut off at the picture's edges."""
    spans = [
        {
            "low": max(dot.limits[0], frame.speeds.first),
            "high": min(dot.limits[1], frame.speeds.last),
            "level": value["level"],
        }
        for dot, value in zip(dots, values, strict=True)
        if dot.limits and dot.limits[0] < frame.speeds.last and dot.limits[1] > frame.speeds.first
    ]
    if not spans:
        return []
    mark = {"type": "rule", "stroke": "var(--muted)", "strokeWidth": 2, "opacity": 0.4, "yOffset": 9, "aria": False}
    place = {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y | {"field": "level"}}
    return [{"data": {"values": spans}, "mark": mark, "encoding": place}]


def _levels(dots: Sequence[Dot], frame: Frame) -> list[float]:
    """Where each dot stands on the noise axis; those of equal bytes get a row each inside their band."""
    row = NOISE_HEIGHT + BAND_HEAD + BAND_ROW / 2 - 3.0
    levels = []
    for dot in dots:
        levels.append(max(dot.noise, frame.noises.last) if dot.noise else frame.noises.value(row))
        row += 0 if dot.noise else BAND_ROW
    return levels


def _steps(line: Sequence[tuple[float, float, str]]) -> list[Box]:
    """The boxes that the dotted line covers: from each dot left to the next slower one's place, then down to it."""
    steps: list[Box] = []
    for (fast_x, fast_y, _), (slow_x, slow_y, _) in pairwise(line):
        steps.append((slow_x, fast_y - 2, fast_x, fast_y + 2))
        steps.append((slow_x - 2, fast_y, slow_x + 2, slow_y))
    return steps


def _band(frame: Frame, x: dict[str, Any], y: dict[str, Any], *, empty: bool) -> list[dict[str, Any]]:
    words = "bit-equal to the singles at every tested N" + (": none" if empty else "")
    edges = {
        "slow": frame.speeds.first,
        "fast": frame.speeds.last,
        "top": frame.noises.last,
        "bottom": frame.noises.value(frame.height),
        "words_at": frame.noises.value(NOISE_HEIGHT + BAND_HEAD / 2),
    }
    box = {"x": x | {"field": "slow"}, "x2": {"field": "fast"}, "y": y | {"field": "top"}, "y2": {"field": "bottom"}}
    words_at = {"x": x | {"field": "slow"}, "y": y | {"field": "words_at"}, "text": {"value": words}}
    style = {"align": "left", "dx": 10, "fontSize": 12, "fontStyle": "italic", "fill": "var(--muted)"}
    data = {"values": [edges]}
    return [
        {"data": data, "mark": {"type": "rect", "fill": "var(--band)", "aria": False}, "encoding": box},
        {"data": data, "mark": {"type": "text", "aria": False} | style, "encoding": words_at},
    ]


def _names(x: dict[str, Any], y: dict[str, Any], align: str, chosen: bool) -> dict[str, Any]:
    style = {"align": align, "baseline": "middle", "fontSize": 12.5, "fontWeight": 700 if chosen else 400}
    return {
        "transform": [{"filter": f"datum.align == '{align}' && datum.chosen == {str(chosen).lower()}"}],
        "mark": {"type": "text", "fill": "var(--ink)", "aria": False} | style,
        "encoding": {"x": x | {"field": "text_speed"}, "y": y | {"field": "text_level"}, "text": {"field": "name"}},
    }

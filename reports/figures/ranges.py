"""The specification of the picture of differences: a bar from the median to the largest, on one logarithmic axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isobatch.reports.figures.frame import decades, drawable, log_axis
from isobatch.reports.figures.labels import room_for

Noise = Literal["batch noise", "precision error"]

_WIDTH, _ROW = 620, 24
_MOST_TICKS = 8
_COLOURS: dict[Noise, str] = {"batch noise": "var(--line-1)", "precision error": "var(--line-2)"}
_SHAPES: dict[Noise, str] = {"batch noise": "circle", "precision error": "diamond"}


@dataclass(frozen=True)
class NoiseRange:
    """One comparison: its row's name, which of the two noises it is, three percentiles, and what hovering says."""

    row: str
    noise: Noise
    median: float
    high: float
    largest: float
    words: str


def specification(ranges: Sequence[NoiseRange]) -> dict[str, Any]:
    """The picture in Vega-Lite. The largest of a range at least is drawable; a row of equal bytes says so in words."""
    drawn = [span for span in ranges if drawable(span.largest)]
    low, high = decades((value for span in drawn for value in (span.median, span.high, span.largest)), 0.3, 0.05)
    least, most = 10.0**low, 10.0**high

    def at(value: float) -> float:
        return min(max(value, least), most)

    values = [
        {"row": r.row, "noise": r.noise, "words": r.words, "from": at(r.median), "dot": at(r.high), "to": at(r.largest)}
        for r in drawn
    ]
    equal = [{"row": span.row, "at": least, "text": "= bit-equal"} for span in ranges if span.largest == 0]
    order = list(dict.fromkeys(span.row for span in ranges))
    x = log_axis("|difference| of a logit (smaller ←)", low, high, _MOST_TICKS)
    y: dict[str, Any] = {"field": "row", "type": "nominal", "sort": order, "title": None, "scale": {"domain": order}}
    y |= {"axis": {"ticks": False, "domain": False, "labelLimit": 260, "labelColor": "var(--ink)"}}
    y["axis"]["minExtent"] = room_for(order, 260)
    key = {"title": None, "orient": "top", "direction": "horizontal", "symbolSize": 90}
    shown = [noise for noise in _COLOURS if any(value["noise"] == noise for value in values)]
    of_noise = {"field": "noise", "type": "nominal", "legend": key}
    colour = of_noise | {"scale": {"domain": shown, "range": [_COLOURS[n] for n in shown]}}
    shape = of_noise | {"scale": {"domain": shown, "range": [_SHAPES[n] for n in shown]}}
    return {
        "width": _WIDTH,
        "height": _ROW * len(order),
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "bar", "height": 8, "opacity": 0.45, "cornerRadius": 4, "aria": False},
                "encoding": {"x": x | {"field": "from"}, "x2": {"field": "to"}, "y": y, "fill": colour},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "size": 70, "opacity": 1, "strokeWidth": 0},
                "encoding": {
                    "x": x | {"field": "dot"},
                    "y": y,
                    "fill": colour,
                    "shape": shape,
                    "description": {"field": "words"},
                },
            },
            {
                "data": {"values": equal},
                "mark": {
                    "type": "text",
                    "align": "left",
                    "dx": 6,
                    "fontSize": 12,
                    "fill": "var(--good)",
                    "aria": False,
                },
                "encoding": {"x": x | {"field": "at"}, "y": y, "text": {"field": "text"}},
            },
        ],
    }

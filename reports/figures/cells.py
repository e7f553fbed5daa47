"""The specification of the verdict map: a cell for each variant, condition and N, with its sign and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isobatch.reports.figures.labels import room_for

State = Literal["equal", "kept", "changed", "odd"]

STATES: dict[State, tuple[str, str, str]] = {
    "equal": ("=", "bit-equal", "var(--cell-equal)"),
    "kept": ("≈", "other bytes, every answer kept", "var(--cell-kept)"),
    "changed": ("≠", "an answer changed", "var(--cell-changed)"),
    "odd": ("×", "not finite or not comparable", "var(--cell-odd)"),
}
"""Each state's sign, words and colour."""

_NAMES: dict[str, Any] = {"labelLimit": 200, "labelColor": "var(--ink)"}
_CELL_W, _CELL_H, _GAP = 46, 24, 12


@dataclass(frozen=True)
class Cell:
    """One comparison of a variant."""

    name: str  # of the variant
    batch_size: int
    state: State
    text: str  # in the cell
    words: str  # on hover


@dataclass(frozen=True)
class Group:
    """Neighbouring columns: one input set under one condition, at each N."""

    words: tuple[str, str]  # the lines of its head
    cells: tuple[Cell, ...]

    @property
    def batch_sizes(self) -> list[int]:
        """Every N of its cells."""
        return sorted({cell.batch_size for cell in self.cells})

    @property
    def width(self) -> float:
        """Pixels: wide enough for its cells and for its words."""
        return max(_CELL_W * len(self.batch_sizes), 6.2 * max(map(len, self.words)))


def width(groups: Sequence[Group]) -> float:
    """Pixels that the columns of these groups take."""
    return sum(group.width + _GAP for group in groups)


def specification(names: Sequence[str], groups: Sequence[Group]) -> dict[str, Any]:
    """The map in Vega-Lite, a chart for each group beside the next. ``names`` head the rows."""
    shown = [state for state in STATES if any(cell.state == state for group in groups for cell in group.cells)]
    colours = {"domain": [_legend(state) for state in shown], "range": [STATES[state][2] for state in shown]}
    legend = {"title": None, "orient": "top", "direction": "horizontal", "symbolType": "square", "symbolSize": 180}
    fill = {"field": "state", "type": "nominal", "scale": colours, "legend": legend}
    return {
        "spacing": _GAP,
        "hconcat": [_chart(names, group, fill, first=at == 0) for at, group in enumerate(groups)],
    }


def _chart(names: Sequence[str], group: Group, fill: dict[str, Any], *, first: bool) -> dict[str, Any]:
    axis = {"title": None, "ticks": False, "domain": False, "labelFontSize": 12}
    heads = {n: str(n) if at else f"N = {n}" for at, n in enumerate(group.batch_sizes)}
    values = [
        {
            "name": cell.name,
            "n": heads[cell.batch_size],
            "state": _legend(cell.state),
            "text": cell.text,
            "words": cell.words,
        }
        for cell in group.cells
    ]
    columns = {
        "field": "n",
        "type": "nominal",
        "scale": {"domain": list(heads.values()), "range": [0, _CELL_W * len(heads)], "padding": 0.04},
        "axis": axis | {"orient": "top", "labelAngle": 0, "labelColor": "var(--muted)"},
    }
    rows = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": list(names), "padding": 0.08},
        "axis": axis | {**_NAMES, "minExtent": room_for(names, _NAMES["labelLimit"])} if first else None,
    }
    text = {"type": "text", "baseline": "middle", "aria": False, "fontSize": 10.5, "fill": "var(--ink)"}
    return {
        "width": group.width,
        "height": _CELL_H * len(names),
        "title": {
            "text": group.words[0],
            "subtitle": group.words[1],
            "anchor": "start",
            "frame": "group",
            **dict.fromkeys(("fontSize", "subtitleFontSize"), 12),
            **dict.fromkeys(("fontWeight", "subtitleFontWeight"), "normal"),
            **dict.fromkeys(("color", "subtitleColor"), "var(--ink)"),
        },
        "data": {"values": values},
        "encoding": {"x": columns, "y": rows},
        "layer": [
            {"mark": {"type": "rect", "opacity": 1}, "encoding": {"fill": fill, "description": {"field": "words"}}},
            {"mark": text, "encoding": {"text": {"field": "text"}}},
        ],
    }


def _legend(state: State) -> str:
    sign, words, _ = STATES[state]
    return f"{sign} {words}"

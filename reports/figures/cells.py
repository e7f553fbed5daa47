"""The specification of the verdict map: a cell for each variant, condition and N, with its sign and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["equal", "kept", "changed", "odd"]

STATES: dict[State, tuple[str, str, str]] = {
    "equal": ("=", "bit-equal", "var(--cell-equal)"),
    "kept": ("≈", "other bytes, every top-1 kept", "var(--cell-kept)"),
    "changed": ("≠", "a top-1 changed", "var(--cell-changed)"),
    "odd": ("×", "not finite or not comparable", "var(--cell-odd)"),
}
"""Each state's sign, words and colour."""

_CELL_W, _CELL_H, _GAP, _NAMES, _CHARACTER = 46.0, 24.0, 12.0, 30.0, 7.2
_HEAD = 62.0
LONGEST_NAME = 24


@dataclass(frozen=True)
class Group:
    """Neighbouring columns: one input set under one condition, at each N. ``words`` head it, on at most two lines."""

    words: tuple[str, str]
    batch_sizes: tuple[int, ...]

    @property
    def width(self) -> float:
        """Pixels: wide enough for its cells and for its words."""
        return max(_CELL_W * len(self.batch_sizes), 6.2 * max(map(len, self.words)))


@dataclass(frozen=True)
class Cell:
    """One comparison: ``row`` and ``group`` count from 0. ``text`` stands in the cell, ``words`` appear on hover."""

    row: int
    group: int
    batch_size: int
    state: State
    text: str
    words: str


def width(groups: Sequence[Group]) -> float:
    """Pixels that the columns of these groups take."""
    return sum(group.width + _GAP for group in groups)


def specification(names: Sequence[str], groups: Sequence[Group], cells: Sequence[Cell]) -> dict[str, Any]:
    """The map in Vega-Lite. ``names`` head the rows; there is at least one cell."""
    left = _NAMES + _CHARACTER * min(LONGEST_NAME, max(map(len, names)))
    starts = [left + width(groups[:at]) for at in range(len(groups))]
    wide, high = left + width(groups), _HEAD + _CELL_H * len(names)
    shown = [state for state in STATES if any(cell.state == state for cell in cells)]
    values = [_place(cell, starts[cell.group], groups[cell.group]) for cell in cells]
    fill = {
        "field": "state",
        "type": "nominal",
        "scale": {"domain": [_legend(s) for s in shown], "range": [STATES[s][2] for s in shown]},
        "legend": {
            "title": None,
            "orient": "top",
            "direction": "horizontal",
            "symbolType": "square",
            "symbolSize": 180,
        },
    }
    x = {"type": "quantitative", "scale": {"domain": [0, wide], "nice": False}, "axis": None}
    y = {"type": "quantitative", "scale": {"domain": [high, 0], "nice": False}, "axis": None}
    box = {"x": x | {"field": "x"}, "x2": {"field": "x2"}, "y": y | {"field": "y"}, "y2": {"field": "y2"}}
    middle = {"x": x | {"field": "mx"}, "y": y | {"field": "my"}, "text": {"field": "text"}}
    text = {"type": "text", "baseline": "middle", "aria": False}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": wide,
        "height": high,
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rect", "opacity": 1},
                "encoding": box | {"fill": fill, "description": {"field": "words"}},
            },
            {"mark": text | {"fontSize": 10.5, "fill": "var(--ink)"}, "encoding": middle},
            *_heads(groups, starts, middle),
            {
                "data": {"values": [{"mx": left - 10, "my": _row(at), "text": name} for at, name in enumerate(names)]},
                "mark": text | {"align": "right", "fontSize": 12.5, "fill": "var(--ink)", "limit": left - 12},
                "encoding": middle,
            },
        ],
    }


def _legend(state: State) -> str:
    sign, words, _ = STATES[state]
    return f"{sign} {words}"


def _row(at: int) -> float:
    return _HEAD + _CELL_H * (at + 0.5)


def _place(cell: Cell, start: float, group: Group) -> dict[str, Any]:
    x, y = start + _CELL_W * group.batch_sizes.index(cell.batch_size), _HEAD + _CELL_H * cell.row
    return {
        "x": x + 1,
        "x2": x + _CELL_W - 1,
        "y": y + 1,
        "y2": y + _CELL_H - 1,
        "mx": x + _CELL_W / 2,
        "my": y + _CELL_H / 2,
        "state": _legend(cell.state),
        "text": cell.text,
        "words": cell.words,
    }


def _heads(groups: Sequence[Group], starts: Sequence[float], middle: dict[str, Any]) -> list[dict[str, Any]]:
    """Over each group its words, over each column its N."""
    words = [
        {"mx": start, "my": 9 + 16 * line, "text": text}
        for group, start in zip(groups, starts, strict=True)
        for line, text in enumerate(group.words)
    ]
    sizes = [
        {"mx": start + _CELL_W * (at + 0.5), "my": _HEAD - 12, "text": f"{'N = ' if at == 0 else ''}{n}"}
        for group, start in zip(groups, starts, strict=True)
        for at, n in enumerate(group.batch_sizes)
    ]
    text = {"type": "text", "baseline": "middle", "aria": False, "fontSize": 12}
    return [
        {"data": {"values": words}, "mark": text | {"align": "left", "fill": "var(--ink)"}, "encoding": middle},
        {"data": {"values": sizes}, "mark": text | {"fill": "var(--muted)"}, "encoding": middle},
    ]

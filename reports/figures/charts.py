"""From a figure's Vega-Lite specification to an SVG that lives in a page: themed, labelled, free of styles and scripts.

Colours are CSS custom properties of the page (``var(--ink)``), written as attributes, so that one picture serves light
and dark and obeys a content policy that allows no inline style.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from isobatch.reports.blocks import Block, Figure, nested
from isobatch.reports.escape import clean
from isobatch.reports.figures.kept import drawn
from isobatch.reports.missing import told

_SVG = "http://www.w3.org/2000/svg"
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_DECIMALS = re.compile(r"-?\d+\.\d{3,}(?![\de])")
_INK, _MUTED, _RULE = "var(--ink)", "var(--muted)", "var(--rule)"

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "Liberation Sans",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _MUTED,
        "titleColor": _INK,
        "gridColor": _RULE,
        "tickColor": _RULE,
        "domainColor": _MUTED,
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": 600,
        "titlePadding": 10,
        "labelPadding": 6,
    },
    "legend": {
        "labelColor": _INK,
        "titleColor": _MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 600,
        "titleOrient": "left",
        "titlePadding": 34,  # a reader's font may be wider than the one that was measured
        "labelLimit": 420,
        "columnPadding": 36,
        "layout": {"top": {"direction": "vertical", "anchor": "start", "margin": 6}},
    },
}


class Drawings:
    """The figures among these blocks, and within them, each drawn once, as one ``<svg>`` element each.

    Each mark is named by its ``<title>``, which appears on hover too. ``kept_in``: a folder of earlier drawings.
    """

    def __init__(self, blocks: Iterable[Block], kept_in: Path | None = None) -> None:
        self.kept_in = kept_in
        figures = [block for block in nested(blocks) if isinstance(block, Figure)]
        pictures = drawn([_order(figure) for figure in figures], kept_in)
        self._drawn = {id(figure): (figure, _finished(figure, p)) for figure, p in zip(figures, pictures, strict=True)}

    def svg(self, figure: Figure) -> str:
        """The figure as one ``<svg>`` element; KeyError for a figure that is not among these. Raises DrawingError."""
        svg = self._drawn[id(figure)][1]
        if isinstance(svg, Exception):
            raise svg
        return svg

    def why_not(self, figure: Figure) -> str | None:
        """Why there is no drawing of this figure; None where there is one."""
        svg = self._drawn[id(figure)][1]
        return told(svg) if isinstance(svg, Exception) else None


def _order(figure: Figure) -> str:
    return json.dumps({"spec": {"$schema": _SCHEMA, **_cleaned(figure.spec), "config": CONFIG}}, default=str)


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return clean(value) if isinstance(value, str) else value


def _rounded(match: re.Match[str]) -> str:
    """A coordinate to a hundredth of a pixel: what is finer nobody sees, and every reader downloads."""
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _finished(figure: Figure, picture: bytes | Exception) -> str | Exception:
    if isinstance(picture, Exception):
        return picture
    try:
        return _finish(picture.decode(), figure)
    except Exception as error:  # it costs this picture only
        return error


def _finish(svg: str, figure: Figure) -> str:
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    root.set("role", "group")
    root.set("aria-label", clean(figure.title))
    for element in root.iter():
        if "-mark" in element.get("class", "") or element.get("role") != "graphics-symbol":
            continue
        if (label := element.get("aria-label")) and element.tag == f"{{{_SVG}}}path":
            element.attrib = {k: v for k, v in element.attrib.items() if not k.startswith("aria-")} | {"role": "img"}
            ElementTree.SubElement(element, f"{{{_SVG}}}title").text = label
    for element in root.iter():
        for name in {"d", "transform"} & element.attrib.keys():
            element.set(name, _DECIMALS.sub(_rounded, element.attrib[name]))
    return ElementTree.tostring(root, encoding="unicode")

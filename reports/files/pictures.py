"""The main pictures as files of their own, for a slide or a ticket: SVG and PNG, on white paper."""

import json
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from isobatch.reports.blocks import Figure, Written
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.figures.drawing_engine import DrawingError
from isobatch.reports.figures.kept import drawn

_STYLE = Path(__file__).with_name("templates") / "style.css"
_SCALE = 2.0  # pixels of the PNG for each unit of the SVG
_MARGIN = 16.0


def pictures(sections: tuple[Written, ...], figures: Drawings) -> dict[str, bytes]:
    """File names with their contents: each section's own pictures, numbered where it has several.

    A figure without a drawing has none. Raises DrawingError where a drawing cannot be made a PNG.
    """
    svgs: dict[str, str] = {}
    for section in sections:
        own = [block for block in section.blocks if isinstance(block, Figure)]
        for at, figure in enumerate(own, 1):
            stem = section.name.replace("_", "-") + (f"-{at}" if len(own) > 1 else "")
            if figures.why_not(figure) is None:
                svgs[stem] = standalone(figures.svg(figure))
    files = {f"{stem}.svg": svg.encode() for stem, svg in svgs.items()}
    orders = [json.dumps({"svg": svg, "scale": _SCALE}) for svg in svgs.values()]
    for stem, png in zip(svgs, drawn(orders, figures.kept_in), strict=True):
        if isinstance(png, DrawingError):
            raise png
        files[f"{stem}.png"] = png
    return files


def standalone(svg: str) -> str:
    """The picture without the page around it: its colours written out as those of the light page, with a margin."""
    colours = _light_colours()
    root = ElementTree.fromstring(re.sub(r"var\((--[\w-]+)\)", lambda match: colours[match[1]], svg))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    box = (left - _MARGIN, top - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    root.attrib |= {"viewBox": " ".join(map(str, box)), "width": str(box[2]), "height": str(box[3])}
    names = ("x", "y", "width", "height")
    paper = {name: str(value) for name, value in zip(names, box, strict=True)} | {"fill": colours["--paper"]}
    root.insert(0, ElementTree.Element("{http://www.w3.org/2000/svg}rect", paper))
    return ElementTree.tostring(root, encoding="unicode")


@cache
def _light_colours() -> dict[str, str]:
    """The page's light colours by name: the first block of the style sheet."""
    block = _STYLE.read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", block))

"""The main pictures as files of their own, for a slide or a ticket: SVG and PNG, on white paper."""

import re
from functools import cache, partial
from pathlib import Path
from xml.etree import ElementTree

from isobatch.reports.blocks import Figure, Written
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.figures.drawing_engine import engine
from isobatch.reports.figures.kept import kept

_STYLE = Path(__file__).with_name("templates") / "style.css"
_SCALE = 2.0  # pixels of the PNG for each unit of the SVG
_MARGIN = 16.0


def pictures(sections: tuple[Written, ...], drawn: Drawings) -> dict[str, bytes]:
    """File names with their contents: each section's own pictures, numbered where it has several.

    A figure without a drawing has none. Raises DrawingError where a drawing cannot be made a PNG.
    """
    svgs: dict[str, str] = {}
    for section in sections:
        figures = [block for block in section.blocks if isinstance(block, Figure)]
        for at, figure in enumerate(figures, 1):
            stem = section.name.replace("_", "-") + (f"-{at}" if len(figures) > 1 else "")
            if drawn.why_not(figure) is None:
                svgs[stem] = standalone(drawn.svg(figure))
    orders = {stem: partial(engine().make, {"svg": svg, "scale": _SCALE}) for stem, svg in svgs.items()}
    pngs = {f"{stem}.png": kept(drawn.kept_in, [_SCALE, svg], orders[stem]) for stem, svg in svgs.items()}
    return pngs | {f"{stem}.svg": svg.encode() for stem, svg in svgs.items()}


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

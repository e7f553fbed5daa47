"""``report.html``: one file that loads nothing, runs nothing, and is drawn by a template."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.records import Study
from reports import views
from reports.blocks import STATE_SIGNS, Block, Code, Details, Link
from reports.charts import Drawings, drawings
from reports.escape import clean
from reports.sections import Written, write_all

_BREAKABLE = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|µs|B|kB|MB|GB|dB|x|img/s|points)(?!\w))|(?<=\b[Nn]) (?==)|(?<=\b[Nn] =) (?=\d)"
)
_TEMPLATES = Path(__file__).with_name("templates")


def html_report(study: Study) -> str:
    """The report as one HTML document: ``html_of`` with everything written and drawn for it."""
    sections = write_all(study)
    with drawings(block for section in sections for block in section.blocks) as drawn:
        return html_of(study, sections, drawn)


def html_of(study: Study, sections: tuple[Written, ...], drawn: Drawings) -> str:
    """The report as one HTML document, from its sections as written and its figures as drawn.

    Its content policy allows its own style, named by hash, and nothing else: no script, no network, no inline style.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    anchors = {section.name for section in sections} | set(_anchors(b for s in sections for b in s.blocks))
    return (
        _environment()
        .get_template("report.html")
        .render(
            study=study,
            sections=sections,
            anchors=anchors,
            places=_places(study, anchors),
            svg=lambda figure: Markup(drawn.svg(figure)),  # escaped by the library that wrote it, read back as XML
            style=Markup(style),
            style_hash=f"sha256-{digest}",
        )
    )


def _anchors(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Details):
            yield from ([block.anchor] if block.anchor else [])
            yield from _anchors(block.blocks)


def _places(study: Study, anchors: Collection[str]) -> dict[str, str]:
    """Where in the page more is said of a name at the head of a table's row."""
    found = {v.name: views.anchor(v.name) for v in study.variants} | {r.name: "repairs" for r in views.repaired(study)}
    return {name: anchor for name, anchor in found.items() if anchor in anchors}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.globals["signs"] = STATE_SIGNS
    environment.tests["code"] = lambda part: isinstance(part, Code)
    environment.tests["link"] = lambda part: isinstance(part, Link)
    return environment


def _cleaned(value: Any) -> Any:
    """Every value that enters the page passes here, before it is escaped; a number and its unit stay on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _BREAKABLE.sub("\N{NO-BREAK SPACE}", clean(value))

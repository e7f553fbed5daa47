"""``report.html``: one file that loads nothing, runs nothing, and is drawn by a template."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.records import Study
from reports.blocks import STATE_SIGNS, Code, Figure
from reports.charts import draw
from reports.escape import clean
from reports.sections import Written, write_all

_BREAKABLE = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|µs|B|kB|MB|GB|dB|x|img/s|points)(?!\w))|(?<=\bN) (?==)|(?<=\bN =) (?=\d)"
)
_TEMPLATES = Path(__file__).with_name("templates")


def html_report(study: Study) -> str:
    """The report of a study as one HTML document, as ``page`` makes it."""
    made = f"{study.tool.name} {study.tool.version} · {study.created_utc} · run {study.run_id}"
    return page(f"{study.weights.model}: does the answer depend on the batch?", made, write_all(study))


def page(title: str, made: str, sections: Sequence[Written]) -> str:
    """Sections as one HTML document; ``made``: by what, when.

    Its content policy allows its own style, named by hash, and nothing else: no script, no network, no inline style.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(title=title, made=made, sections=sections, style=Markup(style), style_hash=f"sha256-{digest}")
    )


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
    environment.filters["svg"] = _svg
    environment.globals["signs"] = STATE_SIGNS
    environment.tests["code"] = lambda part: isinstance(part, Code)
    return environment


def _cleaned(value: Any) -> Any:
    """Every value that enters the page passes here, before it is escaped; a number and its unit stay on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _BREAKABLE.sub("\N{NO-BREAK SPACE}", clean(value))


def _svg(figure: Figure) -> Markup:
    return Markup(draw(figure))  # escaped by the library that wrote it, and read back as XML

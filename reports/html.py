"""``report.html``: one file that loads nothing, runs nothing, and is drawn by a template."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.records import Study
from reports.blocks import STATE_SIGNS, Code, Figure
from reports.charts import draw
from reports.escape import clean
from reports.sections import write_all

_BREAKABLE = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|µs|B|kB|MB|GB|dB|x|img/s|points)(?!\w))|(?<=\bN) (?==)|(?<=\bN =) (?=\d)"
)
_TEMPLATES = Path(__file__).with_name("templates")


def html_report(study: Study) -> str:
    """The report as one HTML document.

    Its content policy allows its own style, named by hash, and nothing else: no script, no network, no inline style.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html")
        .render(study=study, sections=write_all(study), style=Markup(style), style_hash=f"sha256-{digest}")
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

"""``report.html``: one file that loads nothing, runs nothing, and is drawn by a template."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from isobatch.pipeline.records.study import Study
from isobatch.reports import views
from isobatch.reports.blocks import STATE_SIGNS, Code, Details, Link, Written, nested
from isobatch.reports.escape import clean
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.sections import or_why_not

_BREAKABLE = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|µs|B|kB|MB|GB|dB|x|img/s|points)(?!\w))|(?<=\b[Nn]) (?==)|(?<=\b[Nn] =) (?=\d)"
)
_TEMPLATES = Path(__file__).with_name("templates")


def html_of(study: Study, sections: Sequence[Written], figures: Drawings) -> str:
    """The report of a study, from its sections as written and its figures as drawn."""
    made = f"{study.tool.name} {study.tool.version} · {study.created_utc} · {study.run_id}"
    title = f"{study.weights.model}: does the answer depend on the batch?"
    places = {variant.name: views.anchor(variant.name) for variant in study.variants}
    places |= {repaired.name: "repairs" for repaired in views.repaired_variants(study)}

    def fit(section: Written) -> Written:
        _page("", "", [section], figures)
        return section

    try:
        return _page(title, made, sections, figures, places)
    except Exception:  # what the template cannot take is replaced
        return _page(title, made, [or_why_not(fit, section) for section in sections], figures, places)


def _page(title: str, made: str, sections: Sequence[Written], figures: Drawings, places: Mapping[str, str] = {}) -> str:
    """Sections as one HTML document; ``made``: by what, when. ``figures``: their figures.

    ``places``: by the name at the head of a table's row, the anchor where more is said of it.

    Its content policy allows its own style, named by hash, and nothing else: no script, no network, no inline style.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    folded = (block for block in nested(b for s in sections for b in s.blocks) if isinstance(block, Details))
    anchors = {section.name for section in sections} | {block.anchor for block in folded}
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            made=made,
            sections=sections,
            anchors=anchors,
            places={name: anchor for name, anchor in places.items() if anchor in anchors},
            # escaped by its library, read back as XML
            svg=lambda figure: Markup(figures.svg(figure)),
            style=Markup(style),
            style_hash=f"sha256-{digest}",
        )
    )


def table_html(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table alone, every text escaped: for places that bring their own style, such as a notebook."""
    return _environment().get_template("table.html").render(caption=caption, headings=headings, rows=rows)


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
    environment.globals["spaces"] = lambda count: Markup(" " * count)  # escaped by nature; text would lose them
    environment.tests["code"] = lambda part: isinstance(part, Code)
    environment.tests["link"] = lambda part: isinstance(part, Link)
    return environment


def _cleaned(value: Any) -> Any:
    """Every value that enters the page passes here, before it is escaped; a number and its unit stay on one line."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _BREAKABLE.sub("\N{NO-BREAK SPACE}", clean(value))

"""All reports of a study, each written whole or not at all; a part that cannot be written costs no other part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from isobatch.pipeline.records.errors import StoreError
from isobatch.pipeline.records.study import Study
from isobatch.pipeline.storage.files import write_bytes
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.files import json_report
from isobatch.reports.files.html import html_of
from isobatch.reports.files.markdown import markdown_report
from isobatch.reports.files.pictures import pictures
from isobatch.reports.missing import Lost, listed_once, told, without_pictures
from isobatch.reports.sections import write_all


@dataclass(frozen=True)
class Reports:
    """The reports' paths by format (html, markdown, json, in this order), and what is missing of them, a line each."""

    paths: dict[str, Path]
    missing: tuple[str, ...] = ()


def write_reports(study: Study, folder: Path, cache: Path | None = None) -> Reports:
    """Write ``report.html``, ``report.md`` and ``report.json`` into ``folder``.

    ``report.json`` is written first: whatever becomes of the drawing, the others can be drawn again from it. The main
    pictures are written beside them, in ``pictures/``. Drawings are kept in ``cache``, if there is one, for later
    reports. What cannot be written or drawn says so in its place. Raises StoreError where a file cannot be written.
    """
    paths = {"html": folder / "report.html", "markdown": folder / "report.md", "json": folder / json_report.FILE_NAME}
    write_bytes(paths["json"], [json_report.study_json(study).encode()])
    sections = write_all(study)
    lost = [Lost(f"the section {section.title!r}", section.lost) for section in sections if section.lost]
    _attempt("report.md", lost, folder, lambda: {"report.md": markdown_report(study, sections).encode()})
    figures = Drawings((block for section in sections for block in section.blocks), cache and cache / "drawings")
    shown = [replace(section, blocks=without_pictures(section.blocks, figures.why_not, lost)) for section in sections]
    _attempt("report.html", lost, folder, lambda: {"report.html": html_of(study, shown, figures).encode()})
    _attempt("the files of the pictures", lost, folder / "pictures", lambda: pictures(sections, figures))
    return Reports(paths, tuple(listed_once(lost)))


def _attempt(what: str, lost: list[Lost], folder: Path, made: Callable[[], Mapping[str, bytes]]) -> None:
    """Write files into the folder, by name; what they could not be made for is added to ``lost``."""
    try:
        for name, content in made().items():
            write_bytes(folder / name, [content])
    except StoreError:  # the disk is everybody's
        raise
    except Exception as error:
        lost.append(Lost(what, told(error)))

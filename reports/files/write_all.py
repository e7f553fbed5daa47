"""All reports of a study, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from isobatch.pipeline.records.study import Study
from isobatch.pipeline.storage.files import write_bytes
from isobatch.reports.figures.charts import drawings
from isobatch.reports.files import json_report
from isobatch.reports.files.html import html_of
from isobatch.reports.files.markdown import markdown_report
from isobatch.reports.files.pictures import pictures
from isobatch.reports.sections import write_all


def write_reports(study: Study, folder: Path, cache: Path | None = None) -> dict[str, Path]:
    """Write ``report.html``, ``report.md`` and ``report.json`` into ``folder``; their paths by format, in this order.

    ``report.json`` is written first: whatever becomes of the drawing, the others can be drawn again from it. The main
    pictures are written beside them, in ``pictures/``. Drawings are kept in ``cache``, if there is one, for later
    reports. Raises StoreError where a file cannot be written.
    """
    paths = {"html": folder / "report.html", "markdown": folder / "report.md", "json": folder / json_report.FILE_NAME}
    write_bytes(paths["json"], [json_report.study_json(study).encode()])
    sections = write_all(study)
    kept_in = cache and cache / "drawings"
    with drawings((block for section in sections for block in section.blocks), kept_in) as drawn:
        write_bytes(paths["markdown"], [markdown_report(study, sections).encode()])
        write_bytes(paths["html"], [html_of(study, sections, drawn).encode()])
        for name, content in pictures(sections, drawn).items():
            write_bytes(folder / "pictures" / name, [content])
    return paths

"""All reports of a study, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from pipeline.records import Study
from pipeline.store import write_bytes
from reports import json_report
from reports.html import html_report
from reports.markdown import markdown_report


def write_reports(study: Study, folder: Path) -> dict[str, Path]:
    """Write ``report.html``, ``report.md`` and ``report.json`` into ``folder``; their paths by format, in this order.

    ``report.json`` is written first: whatever becomes of the drawing, the others can be drawn again from it. Raises
    StoreError where a file cannot be written.
    """
    paths = {"html": folder / "report.html", "markdown": folder / "report.md", "json": folder / json_report.FILE_NAME}
    write_bytes(paths["json"], [json_report.study_json(study).encode()])
    write_bytes(paths["html"], [html_report(study).encode()])
    write_bytes(paths["markdown"], [markdown_report(study).encode()])
    return paths

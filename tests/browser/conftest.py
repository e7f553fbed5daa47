"""A real Chromium, headless; where there is none, these tests fail and say so."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from isobatch.pipeline.records.study import Study
from isobatch.reports.files.json_report import load_study
from tests.reports import studies
from tests.reports.studies import html_report
from tests.waiting import ENDS_S

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SAMPLE = Path(__file__).resolve().parents[2] / "reports" / "sample" / "report.json"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"no browser: install chromium (none of {', '.join(NAMES)} is on the path)")
    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=ENDS_S * 1000)
        yield found
        found.close()


def real() -> Study:
    return load_study(SAMPLE)


STUDIES = {
    "real": real,
    "broken": studies.broken,
    "full": studies.full,
    "small": studies.small,
    "strange": studies.strange,
}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The path of a study's page, written once: ``report("real")``."""
    written: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("reports")

    def of(name: str) -> Path:
        if name not in written:
            written[name] = folder / f"{name}.html"
            written[name].write_text(html_report(STUDIES[name]()), encoding="utf-8")
        return written[name]

    return of

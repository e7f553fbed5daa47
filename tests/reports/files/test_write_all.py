from __future__ import annotations

from pathlib import Path

import pytest

from isobatch.pipeline.storage.files import StoreError
from isobatch.reports.files.json_report import load_study, study_json
from isobatch.reports.files.write_all import write_reports
from tests.reports import studies


@pytest.mark.parametrize("name", list(studies.ALL))
def test_all_reports_are_written_and_named(name: str, tmp_path: Path) -> None:
    paths = write_reports(studies.ALL[name](), tmp_path / "run")
    assert [path.name for path in paths.values()] == ["report.html", "report.md", "report.json"]
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names - {"pictures"} == {"report.html", "report.json", "report.md"}
    assert study_json(load_study(tmp_path / "run")) == study_json(studies.ALL[name]())


def test_drawing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_reports(studies.small(), tmp_path / "a")
    again = write_reports(load_study(tmp_path / "a"), tmp_path / "b")
    assert [path.read_bytes() for path in first.values()] == [path.read_bytes() for path in again.values()]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot write .*report\.json"):
        write_reports(studies.full(), tmp_path / "run")

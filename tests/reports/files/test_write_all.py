import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.storage.files import StoreError
from isobatch.reports import sections
from isobatch.reports.blocks import Column, Table, Written
from isobatch.reports.figures import drawing_engine
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.files import write_all as write
from isobatch.reports.files.html import html_of
from isobatch.reports.files.json_report import load_study, study_json
from isobatch.reports.files.markdown import markdown_report
from isobatch.reports.files.write_all import write_reports
from isobatch.reports.sections import all_sections, write_all
from tests.reports import studies


@pytest.mark.parametrize("name", ["full", "broken", "empty", "strange"])
def test_all_reports_are_written_and_named(name: str, tmp_path: Path) -> None:
    written = write_reports(studies.ALL[name](), tmp_path / "run")
    assert written.missing == ()
    paths = written.paths
    assert [path.name for path in paths.values()] == ["report.html", "report.md", "report.json"]
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names - {"pictures"} == {"report.html", "report.json", "report.md"}
    assert study_json(load_study(tmp_path / "run")) == study_json(studies.ALL[name]())


def broken(*arguments: object, **named: object) -> Any:
    raise KeyError("planted")


@pytest.mark.parametrize("name", ["answer", "chapters", "cost_and_stability"])
def test_a_section_that_cannot_be_written_says_so_and_the_others_stand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_all(studies.full())
    section = {section.name: section for section in all_sections()}[name]
    monkeypatch.setattr(
        sections, "all_sections", lambda: tuple(replace(s, write=broken) if s is section else s for s in all_sections())
    )
    written = write_reports(studies.full(), tmp_path / "run")
    assert written.missing == (f"missing: the section {section.title!r}: KeyError: 'planted'",)
    for path in (written.paths["html"], written.paths["markdown"]):
        text = path.read_text()
        assert text.count("could not be written") == 1
        assert all(other.title.partition(" ")[0] in text for other in whole)


@pytest.mark.parametrize(("place", "gone"), [("markdown_report", "report.md"), ("html_of", "report.html")])
def test_a_format_that_fails_costs_no_other(
    place: str, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, place, broken)
    written = write_reports(studies.small(), tmp_path / "run")
    assert written.missing == (f"missing: {gone}: KeyError: 'planted'",)
    assert {"report.html", "report.md", "report.json"} - {p.name for p in (tmp_path / "run").iterdir()} == {gone}


def test_a_block_that_a_format_cannot_draw_costs_its_section_only(tmp_path: Path) -> None:
    study = studies.small()
    odd = Written("odd", "Odd", "open", (Table("of no text", (Column("a"),), ((3,),)),))  # type: ignore[arg-type]
    every = (*write_all(study), odd)
    assert "Odd: this part could not be written" in markdown_report(study, every)
    drawn = Drawings(block for section in every for block in section.blocks)
    assert html_of(study, every, drawn).count("<section") == len(every)


def test_where_the_engine_dies_the_reports_are_written_without_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a limit of address space that its JavaScript cannot live with."""
    monkeypatch.setattr(drawing_engine, "_SCRIPT", tmp_path / "dies.py")
    (tmp_path / "dies.py").write_text("import os; os.abort()")
    written = write_reports(studies.full(), tmp_path / "run")
    assert all(path.stat().st_size > 1000 for path in written.paths.values())
    assert written.missing and all("SIGABRT" in missing and "render RUN" in missing for missing in written.missing)
    page = written.paths["html"].read_text()
    assert "could not be drawn" in page and "<svg" not in page
    assert page.count("The values of this picture") >= 1
    assert not (tmp_path / "run" / "pictures").exists()


def test_the_engine_says_what_it_refuses() -> None:
    svg = "<svg xmlns='http://www.w3.org/2000/svg' width='2' height='2'/>"
    orders = [json.dumps({"svg": svg, "scale": 1.0}), json.dumps({"svg": "no svg", "scale": 1.0})]
    png, refused = drawing_engine.made(orders)
    assert isinstance(png, bytes) and png.startswith(b"\x89PNG")
    assert isinstance(refused, drawing_engine.DrawingError) and "refuses it" in str(refused)


@pytest.mark.parametrize(("dies", "why"), [("os.kill(os.getpid(), 9)", "SIGKILL"), ("time.sleep(600)", "ended after")])
def test_the_engine_starts_once_more_behind_what_it_died_of(
    dies: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing_engine, "_SCRIPT", tmp_path / "mortal.py")
    monkeypatch.setattr(drawing_engine, "_LONGEST_S", 600.0 if why == "SIGKILL" else 3.0)
    (tmp_path / "mortal.py").write_text(
        "import os, sys, time\n"
        "for line in sys.stdin:\n"
        f"    if line == 'deadly\\n': {dies}\n"
        '    print(\'{"made": "aXQ="}\', flush=True)\n'
    )

    def said(*orders: str) -> list[object]:
        return [answer if answer == b"it" else why in str(answer) for answer in drawing_engine.made(orders)]

    assert said() == []
    assert said("a", "deadly", "b") == [b"it", True, b"it"]
    if why == "SIGKILL":
        assert said("deadly", "deadly", "b", "c") == [True] * 4


def test_drawing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_reports(studies.small(), tmp_path / "a").paths
    again = write_reports(load_study(tmp_path / "a"), tmp_path / "b").paths
    assert [path.read_bytes() for path in first.values()] == [path.read_bytes() for path in again.values()]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot write .*report\.json"):
        write_reports(studies.full(), tmp_path / "run")

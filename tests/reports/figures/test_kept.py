from pathlib import Path

import pytest

from isobatch.reports.figures.drawing_engine import Engine
from isobatch.reports.figures.kept import Kept
from isobatch.reports.files.write_all import write_reports
from tests.reports import studies


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_report_drawn_before_is_written_again_without_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(studies.full(), tmp_path / "first", tmp_path / "cache")
    assert list((tmp_path / "cache" / "drawings").iterdir())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr(Engine, "make", refuse)
    write_reports(studies.full(), tmp_path / "again", tmp_path / "cache")
    monkeypatch.undo()
    write_reports(studies.full(), tmp_path / "anew")
    assert contents(tmp_path / "first") == contents(tmp_path / "again") == contents(tmp_path / "anew")


def test_a_drawing_is_kept_by_its_source_and_a_damaged_one_is_drawn_again(tmp_path: Path) -> None:
    kept, drawn = Kept(tmp_path), []

    def draw() -> bytes:
        drawn.append(True)
        return b"a\npicture"

    assert [kept.get({"of": 1}, draw), kept.get({"of": 1}, draw), len(drawn)] == [b"a\npicture", b"a\npicture", 1]
    kept.get({"of": 2}, draw)
    assert len(drawn) == 2
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert [kept.get({"of": 1}, draw), len(drawn)] == [b"a\npicture", 3]
    assert [kept.get({"of": 1}, draw), len(drawn)] == [b"a\npicture", 3]


def test_where_nothing_can_be_kept_it_is_drawn_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for kept in (Kept(None), Kept(tmp_path / "file" / "folder")):
        assert [kept.get("x", lambda: b"one"), kept.get("x", lambda: b"two")] == [b"one", b"two"]

from pathlib import Path

import pytest

from isobatch.reports.figures.drawing_engine import Engine
from isobatch.reports.figures.kept import kept
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
    drawn: list[bool] = []

    def draw() -> bytes:
        drawn.append(True)
        return b"a\npicture"

    assert [kept(tmp_path, {"of": 1}, draw) for _ in range(2)] == [b"a\npicture"] * 2 and len(drawn) == 1
    kept(tmp_path, {"of": 2}, draw)
    assert len(drawn) == 2
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert [kept(tmp_path, {"of": 1}, draw) for _ in range(2)] == [b"a\npicture"] * 2 and len(drawn) == 3


def test_where_nothing_can_be_kept_it_is_drawn_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "folder"):
        assert [kept(folder, "x", lambda: b"one"), kept(folder, "x", lambda: b"two")] == [b"one", b"two"]

from collections.abc import Sequence
from pathlib import Path

import pytest

from isobatch.reports.figures import kept
from isobatch.reports.figures.drawing_engine import DrawingError
from isobatch.reports.figures.kept import drawn
from isobatch.reports.files.write_all import write_reports
from tests.reports import studies


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_report_drawn_before_is_written_again_without_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(studies.full(), tmp_path / "first", tmp_path / "cache")
    assert list((tmp_path / "cache" / "drawings").iterdir())

    def refuse(orders: Sequence[str]) -> list[bytes | DrawingError]:
        assert not orders, "drawn again"
        return []

    monkeypatch.setattr(kept, "made", refuse)
    write_reports(studies.full(), tmp_path / "again", tmp_path / "cache")
    monkeypatch.undo()
    write_reports(studies.full(), tmp_path / "anew")
    assert contents(tmp_path / "first") == contents(tmp_path / "again") == contents(tmp_path / "anew")


def test_a_drawing_is_kept_by_its_order_and_a_damaged_one_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    error = DrawingError("no")

    def made(orders: Sequence[str]) -> list[bytes | DrawingError]:
        asked.extend(orders)
        return [error if order == "bad" else f"a\n{order}".encode() for order in orders]

    monkeypatch.setattr(kept, "made", made)
    for _ in range(2):
        assert drawn(["one", "bad", "two", "one"], tmp_path) == [b"a\none", error, b"a\ntwo", b"a\none"]
    assert asked == ["one", "bad", "two", "bad"]
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert drawn(["one"], tmp_path) == drawn(["one"], tmp_path) == [b"a\none"]
    assert asked[4:] == ["one"]
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "folder"):
        del asked[:]
        assert [drawn(["one"], folder) for _ in range(2)] == [[b"a\none"]] * 2 and asked == ["one"] * 2

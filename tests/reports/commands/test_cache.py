"""``cache`` on the command line."""

import json
from pathlib import Path

import pytest

import run
from isobatch.pipeline.storage.cache import in_use

KEY = "0123456789abcdef" * 2


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "isobatch"
    (root / "references").mkdir(parents=True)
    (root / "references" / f"{KEY}.safetensors").write_bytes(b"x" * 1500)
    return root


def test_info_says_where_how_much_and_how_old(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["cache", "info"]) == 0
    said = capsys.readouterr().out
    assert str(root) in said and "1 entry" in said and "1.50 kB" in said and "oldest 20" in said
    assert run.main(["cache", "info", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {part["name"]: part["size_bytes"] for part in content["parts"]}["references"] == 1500
    assert content["used_by_a_study"] is False


def test_clear_removes_and_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "references" / "mine.txt").write_text("mine")
    assert run.main(["cache", "clear"]) == 0
    said = capsys.readouterr().out
    assert f"removed from {root}" in said and "kept references/mine.txt" in said
    assert [path.name for path in (root / "references").iterdir()] == ["mine.txt"]


def test_clear_waits_for_nobody(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with in_use(root):
        assert run.main(["cache", "clear"]) == 2
    assert capsys.readouterr().err.startswith("error [cache-in-use]")
    assert (root / "references" / f"{KEY}.safetensors").exists()


def test_an_unknown_action_is_a_usage_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["cache", "shrink"]) == 2
    assert "invalid choice" in capsys.readouterr().err

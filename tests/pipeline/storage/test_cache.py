"""The cache is counted, locked and cleared; nothing outside it is ever touched."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isobatch.models.spec.artifact_cache import ArtifactCache, key_of
from isobatch.models.spec.words import Manifest
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.storage.cache import PARTS, clear, in_use, survey, used_by_a_study

KEY = "0123456789abcdef" * 2


def build(folder: Path) -> Manifest:
    (folder / "weights.safetensors").write_bytes(b"x" * 1000)
    (folder / "deep").mkdir()
    (folder / "deep" / "graph.onnx").write_bytes(b"x" * 500)
    return Manifest(recipe={}, size_bytes=1500)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache with one entry of each part, the artifact made by the real builder."""
    root = tmp_path / "cache"
    ArtifactCache(root / "artifacts").get({"variant": "fp32"}, build)
    for part, name, size in (
        ("references", f"{KEY[:24]}.safetensors", 30),
        ("accuracy", f"{KEY}.json", 20),
        ("weights", f"{KEY}{KEY}.safetensors", 10),
        ("drawings", f"{KEY}{KEY}", 5),
        ("sizes", f"{KEY}.json", 5),
    ):
        (root / part).mkdir()
        (root / part / name).write_bytes(b"x" * size)
    return root


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock")}


def test_a_survey_counts_each_part_and_changes_nothing(root: Path) -> None:
    before = everything(root)
    parts = {part.name: part for part in survey(root)}
    assert [(part.name, part.entries) for part in parts.values()] == [
        ("artifacts", 1),
        ("references", 1),
        ("accuracy", 1),
        ("weights", 1),
        ("drawings", 1),
        ("sizes", 1),
    ]
    assert parts["artifacts"].size_bytes > 1500  # and its manifest
    assert (parts["references"].size_bytes, parts["weights"].size_bytes) == (30, 10)
    assert parts["accuracy"].oldest == (root / "accuracy" / f"{KEY}.json").stat().st_mtime
    assert everything(root) == before


def test_an_absent_cache_is_empty_and_stays_absent(tmp_path: Path) -> None:
    absent = tmp_path / "none"
    assert [part.entries for part in survey(absent)] == [0] * len(PARTS)
    assert clear(absent).parts == ()
    assert not used_by_a_study(absent) and not absent.exists()


def test_clearing_says_what_it_removed_and_leaves_empty_folders(root: Path) -> None:
    counted = survey(root)
    assert clear(root).parts == counted
    assert everything(root) == set(PARTS)
    assert ArtifactCache(root / "artifacts").find({"variant": "fp32"}) is None
    ArtifactCache(root / "artifacts").get({"variant": "fp32"}, build)  # and it can be built again


def test_a_study_keeps_its_cache(root: Path) -> None:
    before = everything(root)
    with in_use(root), in_use(root):  # two studies at once
        assert used_by_a_study(root)
        with pytest.raises(UsageError, match="wait for it") as raised:
            clear(root)
    assert raised.value.code == "cache-in-use"
    assert everything(root) == before
    assert not used_by_a_study(root)
    clear(root)


def test_what_is_being_built_stays(root: Path) -> None:
    cache = ArtifactCache(root / "artifacts")
    key = key_of({"variant": "bf16"})
    work = root / "artifacts" / f".{key[:32]}-abc"

    def slow(folder: Path) -> Manifest:
        cleared = clear(root)
        assert [what for what, _ in cleared.kept] == [f"artifacts/{folder.name}"]
        return build(folder)

    cache.get({"variant": "bf16"}, slow)
    assert cache.find({"variant": "bf16"})
    work.mkdir()  # left by a builder that was killed: nobody holds its lock
    clear(root)
    assert not work.exists()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / KEY).write_text("mine")
    yield folder
    assert (folder / KEY).read_text() == "mine"


def test_links_are_never_followed(root: Path, outside: Path) -> None:
    (root / "references" / f"{KEY[:16]}.safetensors").symlink_to(outside / KEY)
    (root / "artifacts" / KEY).symlink_to(outside, target_is_directory=True)
    inner = next(path for path in (root / "artifacts").iterdir() if path.is_dir() and not path.is_symlink())
    (inner / "link").symlink_to(outside, target_is_directory=True)
    clear(root)
    assert everything(root) == set(PARTS)


def test_a_part_that_is_a_link_is_kept_and_said(root: Path, outside: Path) -> None:
    (root / "weights" / f"{KEY}{KEY}.safetensors").unlink()
    (root / "weights").rmdir()
    (root / "weights").symlink_to(outside, target_is_directory=True)
    assert ("weights", "it is a link or no folder: not followed") in clear(root).kept
    assert [part.entries for part in survey(root)] == [0] * len(PARTS)


def test_a_cache_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root, target_is_directory=True)
    before = everything(root)
    with pytest.raises(UsageError, match="not followed") as raised:
        clear(link)
    assert raised.value.code == "cache-unusable"
    assert everything(root) == before


def test_files_of_others_are_kept(root: Path) -> None:
    (root / "notes.txt").write_text("mine")
    (root / "artifacts" / "notes.txt").write_text("mine")
    (root / "models").mkdir()
    (root / "models" / KEY).write_text("mine")
    assert clear(root).kept == (("artifacts/notes.txt", "not made by this program"),)
    assert (root / "notes.txt").exists() and (root / "artifacts" / "notes.txt").exists()
    assert (root / "models" / KEY).exists()


def test_a_study_goes_on_where_no_lock_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with in_use(tmp_path / "file" / "cache"):
        pass
    assert not (tmp_path / "file" / "cache").exists()


def test_the_lock_is_given_up_whatever_happens(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), in_use(root):
        raise KeyboardInterrupt
    with open(root / ".in-use.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.path.getsize(root / ".in-use.lock") == 0

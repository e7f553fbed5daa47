import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare import run_folder
from isobatch.pipeline.prepare.run_folder import open_run
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.storage.places import cache_root

CONFIG = Config(variants=("fp32",), threads=(1,))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("isobatch.pipeline.storage.places.OUT", tmp_path / "out")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    yield


def test_an_unfinished_run_goes_on_and_a_finished_one_does_not(tmp_path: Path) -> None:
    first = open_run(CONFIG)
    first.close()
    again = open_run(CONFIG)
    assert again.resumed
    assert again.folder == first.folder
    again.finish()
    assert (tmp_path / "out" / "latest").resolve() == first.folder
    new = open_run(CONFIG)
    assert not new.resumed
    assert new.folder != first.folder
    new.close()


def test_the_time_of_all_starts_of_a_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def started(taken_s: float) -> run_folder.Run:
        run = open_run(CONFIG)
        now[0] += taken_s
        return run

    killed = started(40.0)
    killed.keep_time()
    now[0] += 3.0  # which nobody wrote down
    killed._lock.close()
    stopped = started(5.0)
    assert (stopped.resumed, stopped.spent_s) == (True, 45.0)
    stopped.close()
    dry = started(9.0)
    dry.discard()
    dry.close()
    for config, spent_s in ((CONFIG, 45.0), (replace(CONFIG, fresh=True), 0.0)):
        with closing(open_run(config)) as run:
            assert run.spent_s == spent_s


def test_fresh_and_other_configurations_start_anew() -> None:
    first = open_run(CONFIG)
    first.close()
    fresh = open_run(replace(CONFIG, fresh=True))
    other = open_run(replace(CONFIG, seed=7))
    assert len({first.folder, fresh.folder, other.folder}) == 3
    fresh.close()
    other.close()


def test_two_studies_never_share_a_folder() -> None:
    first = open_run(CONFIG)
    second = open_run(CONFIG)  # the first is unfinished, but in use
    assert second.folder != first.folder
    with pytest.raises(UsageError, match="in use by another study"):
        open_run(replace(CONFIG, out=str(first.folder)))
    first.close()
    second.close()


def test_a_named_folder_is_used_resumed_and_protected(tmp_path: Path) -> None:
    named = replace(CONFIG, out=str(tmp_path / "mine"))
    run = open_run(named)
    run.close()
    resumed = open_run(named)
    assert resumed.resumed
    resumed.finish()
    with pytest.raises(UsageError, match="never reused"):
        open_run(named)
    (tmp_path / "mine" / "evidence").mkdir()
    fresh = open_run(replace(named, fresh=True))
    assert not fresh.resumed
    assert (tmp_path / "mine" / "evidence").exists()
    fresh.start()
    assert not (tmp_path / "mine" / "evidence").exists()
    fresh.close()
    with pytest.raises(UsageError, match="another configuration"):
        open_run(replace(named, seed=7))


def test_foreign_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    for fresh in (False, True):
        with pytest.raises(UsageError, match="not a run's folder"):
            open_run(replace(CONFIG, out=str(tmp_path / "photos"), fresh=fresh))
        with pytest.raises(UsageError):
            open_run(replace(CONFIG, out=str(tmp_path / "photos" / "a.jpg"), fresh=fresh))
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"x"


def test_a_folder_of_hidden_files_is_the_users_own(tmp_path: Path) -> None:
    head = tmp_path / "mine" / ".git" / "HEAD"
    head.parent.mkdir(parents=True)
    head.write_text("ref: refs/heads/main")
    for fresh in (False, True):
        with pytest.raises(UsageError, match="not a run's folder"):
            open_run(replace(CONFIG, out=str(tmp_path / "mine"), fresh=fresh))
    assert head.read_text() == "ref: refs/heads/main"


def test_a_run_that_another_study_finishes_meanwhile_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_run(CONFIG)
    claim = run_folder._claim

    def finished_first(folder: Path, digest: str) -> run_folder.Run | None:
        if not first._lock.closed:
            first.finish()
        return claim(folder, digest)

    monkeypatch.setattr(run_folder, "_claim", finished_first)
    second = open_run(CONFIG)
    second.close()
    assert not second.resumed
    assert second.folder != first.folder


def test_discard_removes_only_what_this_start_made() -> None:
    run = open_run(CONFIG)
    run.discard()
    run.close()
    assert not run.folder.exists()
    kept = open_run(CONFIG)
    kept.close()
    again = open_run(CONFIG)
    again.discard()
    again.close()
    assert again.folder.exists()
    measured = open_run(replace(CONFIG, seed=7))
    measured.evidence_file("fp32", "n-4.safetensors").parent.mkdir(parents=True)
    measured.discard()
    measured.close()
    assert measured.folder.exists()


def test_discard_leaves_an_empty_folder_of_the_user_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    run = open_run(replace(CONFIG, out=str(tmp_path / "mine")))
    (run.folder / "inputs").mkdir()
    run.discard()
    run.close()
    assert run.folder == tmp_path / "mine" and not list(run.folder.iterdir())


def test_discard_leaves_an_older_run_alone(tmp_path: Path) -> None:
    named = replace(CONFIG, out=str(tmp_path / "mine"))
    old = open_run(named)
    (old.folder / "report.json").write_text("{}")
    old.finish()
    fresh = open_run(replace(named, fresh=True))  # a dry run, or one whose input proves unusable
    fresh.discard()
    fresh.close()
    assert (old.folder / "report.json").read_text() == "{}"
    with pytest.raises(UsageError, match="never reused"):
        open_run(named)


def test_a_start_killed_at_once_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".lock").touch()
    (tmp_path / "mine" / ".run.json.unfinished-jb0sg4iw").touch()
    run = open_run(replace(CONFIG, out=str(tmp_path / "mine")))
    assert not run.resumed
    run.close()


def test_the_cache_follows_the_desktop_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_root() == tmp_path / "out" / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "isobatch"


@pytest.mark.parametrize("fresh", [False, True], ids=["resumed", "fresh"])
def test_half_written_files_of_a_killed_study_are_removed_and_no_others(tmp_path: Path, fresh: bool) -> None:
    named = replace(CONFIG, out=str(tmp_path / "mine"), fresh=fresh)
    run = open_run(named)
    run.close()
    left = [run.evidence_file("fp32", f".n-4.safetensors.unfinished-{at}") for at in ("jb0sg4iw", "abc_1234")]
    kept = [run.folder / "notes.md", run.folder / ".my-settings", run.folder / ".lock"]
    for file in left + kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    again = open_run(named)
    again.start()
    again.close()
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in kept)


@pytest.mark.parametrize(
    "said", ['{"state": "finished"}', '{"state": "finished", "configuration": "0123abcd"}', "[1]", "[" * 100_000]
)
@pytest.mark.parametrize("fresh", [False, True], ids=["resumed", "fresh"])
def test_a_run_json_of_another_program_makes_no_run(tmp_path: Path, said: str, fresh: bool) -> None:
    kept = tmp_path / "theirs" / "evidence" / "photo.jpg"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    (tmp_path / "theirs" / "run.json").write_text(said)
    with pytest.raises(UsageError, match="not a run's folder"):
        open_run(replace(CONFIG, out=str(tmp_path / "theirs"), fresh=fresh))
    assert kept.read_bytes() == b"x"


def test_a_run_json_that_is_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "run.json")
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "run.json").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(UsageError, match="not a run's folder"):
            open_run(replace(CONFIG, out=str(tmp_path / name)))


def test_a_lock_that_is_a_pipe_or_a_link_is_neither_waited_for_nor_emptied(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "letter").write_text("dear")
    named = replace(CONFIG, out=str(tmp_path / "mine"))
    os.mkfifo(tmp_path / "mine" / ".lock")
    with pytest.raises(UsageError, match="cannot write"):
        open_run(named)
    (tmp_path / "mine" / ".lock").unlink()
    (tmp_path / "mine" / ".lock").symlink_to(tmp_path / "letter")
    with pytest.raises(UsageError, match="cannot write"):
        open_run(named)
    assert (tmp_path / "letter").read_text() == "dear"

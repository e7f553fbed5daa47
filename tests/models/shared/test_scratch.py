"""What is swept is deleted: scratch of killed owners goes, and nothing else, whatever its name."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from isobatch.models.shared import scratch
from isobatch.models.shared.scratch import MARK, PREFIX, Scratch, shared_folder, sweep
from tests.models.ort.small_onnx import classifier

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_owner(place: Path, code: str = "Scratch().path") -> Path:
    """The scratch folder of a process that was killed."""
    script = f"from isobatch.models.shared.scratch import *\nprint({code}, flush=True)\nimport signal\nsignal.pause()"
    script = script.replace("Scratch().path", "(kept := Scratch()).path")
    owner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().decode().strip())
    sweep()
    assert folder.is_dir()  # a living one's
    owner.kill()
    assert owner.wait() == -signal.SIGKILL
    owner.stdout.close()
    return folder


@pytest.mark.parametrize("code", ["Scratch().path", "shared_folder('0123456789abcdef')"], ids=["own", "shared"])
def test_what_a_killed_owner_left_is_swept_by_the_next(place: Path, code: str) -> None:
    folder = left_by_a_killed_owner(place, code)
    (folder / "run").mkdir()
    (folder / "run" / "rows").write_bytes(b"x")
    with Scratch() as own:
        assert not folder.exists()
        assert own.path.parent == place
        assert own.path.stat().st_mode & 0o077 == 0
    assert list(place.iterdir()) == []


def test_the_copy_of_a_users_graph_is_swept_too(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is run in the user's own process, whose temporary folder no launcher sets."""
    graph = tmp_path_factory.mktemp("elsewhere") / "net.onnx"
    onnx.save(classifier(), graph)
    module = "__import__('isobatch.models.user_graphs', fromlist=['GraphRunner'])"
    folder = left_by_a_killed_owner(place, f"(kept := {module}.GraphRunner({str(graph)!r}, 1))._artifact.folder")
    assert (folder / "model.onnx").is_file()
    sweep()
    assert not folder.exists()


def test_a_finished_run_in_the_temporary_folder_stays(place: Path) -> None:
    run = place / "isobatch-results"
    run.mkdir()
    (run / ".lock").touch()
    (run / "report.json").write_text("{}")
    with Scratch():
        pass
    assert (run / "report.json").read_text() == "{}"


def _renamed(folder: Path) -> None:
    (folder / MARK).write_text((folder / MARK).read_text().replace(folder.name, f"{PREFIX}other"))


def _fifo(folder: Path) -> None:
    (folder / MARK).unlink()
    os.mkfifo(folder / MARK)


def _link(folder: Path) -> None:
    (folder / MARK).rename(folder / "mark")
    (folder / MARK).symlink_to("mark")


def _hard_link(folder: Path) -> None:
    os.link(folder / MARK, folder / "mark")


def _anothers(folder: Path) -> None:
    about = json.loads((folder / MARK).read_text())
    (folder / MARK).write_text(json.dumps(about | {"uid": about["uid"] + 1}))


SPOILED: dict[str, Callable[[Path], None]] = {
    "renamed": _renamed,
    "FIFO": _fifo,
    "link": _link,
    "hard link": _hard_link,
    "another's": _anothers,
    "no mark": lambda folder: (folder / MARK).unlink(),
    "empty": lambda folder: (folder / MARK).write_text(""),
    "nested": lambda folder: (folder / MARK).write_text("[" * 4000),
    "large": lambda folder: (folder / MARK).write_text((folder / MARK).read_text() + " " * 5000),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_what_is_not_surely_ours_stays_and_is_not_waited_for(place: Path, spoil: Callable[[Path], None]) -> None:
    folder = left_by_a_killed_owner(place)
    (folder / "data").write_bytes(b"x")
    spoil(folder)
    sweep()
    assert (folder / "data").read_bytes() == b"x"


def test_a_link_to_scratch_is_not_followed(place: Path) -> None:
    folder = left_by_a_killed_owner(place)
    elsewhere = place / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    sweep()
    assert (elsewhere / MARK).exists()


def test_a_shared_folder_of_another_mode_or_kind_is_refused(place: Path) -> None:
    for token, make in {
        "open": lambda folder: (folder.mkdir(), folder.chmod(0o777)),
        "link": lambda folder: folder.symlink_to(place),
        "file": lambda folder: folder.touch(),
    }.items():
        make(place / f"{PREFIX}{token}")
        with pytest.raises(OSError, match="not a folder of this user alone"):
            shared_folder(token)


def test_a_shared_folder_is_the_same_for_all_who_know_its_token(place: Path) -> None:
    first = shared_folder("fedcba9876543210")
    assert shared_folder("fedcba9876543210") == first
    lock = os.open(first / MARK, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)
    assert scratch.PREFIX in first.name

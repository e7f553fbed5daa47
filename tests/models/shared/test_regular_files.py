import os
from functools import partial
from pathlib import Path

import pytest

from isobatch.models.shared.regular_files import (
    AT_ONCE,
    SHARED,
    file_sha256,
    locked,
    read_object,
    read_regular,
    write_whole,
)


@pytest.mark.parametrize("kind", ["link", "dangling", "FIFO", "folder"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "target", tmp_path / "path"
    target.write_bytes(b"kept")
    {
        "link": lambda: path.symlink_to(target),
        "dangling": lambda: path.symlink_to("nowhere"),
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    before = path.lstat()
    with pytest.raises(OSError, match="name"):
        write_whole(path, [b"new"])
    assert path.lstat() == before
    assert target.read_bytes() == b"kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["path", "target"]


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(OSError, match="device"):
        write_whole(Path("/dev/null"), [b"new"])
    assert Path("/dev/null").is_char_device()


def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file"
    digest = write_whole(path, [b"first"])
    assert digest == file_sha256(path)

    def broken() -> object:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, broken())  # type: ignore[arg-type]
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_is_held_until_it_is_closed_and_leaves_the_file(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("somebody's")
    held = [locked(tmp_path / "lock", SHARED), locked(tmp_path / "lock", SHARED)]
    before = len(os.listdir("/proc/self/fd"))
    for descriptor in held:
        with pytest.raises(BlockingIOError):
            locked(tmp_path / "lock", AT_ONCE)
        assert len(os.listdir("/proc/self/fd")) <= before
        os.close(descriptor)
    os.close(locked(tmp_path / "lock", AT_ONCE, make=False))
    assert (tmp_path / "lock").read_text() == "somebody's"
    with pytest.raises(FileNotFoundError):
        locked(tmp_path / "other", AT_ONCE, make=False)


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        for read in (read_regular, file_sha256, partial(locked, how=AT_ONCE)):
            with pytest.raises(OSError):
                read(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[1]", "no JSON object"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
        (b"{", "Expecting"),
        (b"\xff\xfe", "Expecting"),
        (b'{"a": ' + b"1" * 5000 + b"}", "digits"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "2009 bytes"),
    ],
)
def test_what_is_no_object_within_the_limits_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_object(tmp_path / "file", 1 << 10 if len(content) < 3000 and why.endswith("bytes") else 1 << 20)


def test_a_sparse_file_beyond_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        file.truncate(50 << 30)
    with pytest.raises(ValueError, match="at most"):
        read_object(tmp_path / "file")

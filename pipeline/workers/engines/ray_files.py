"""Files that tasks read, on the nodes of a cluster: where they lie already, or out of Ray's object store."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.pipeline.storage.files import write_bytes
from isobatch.pipeline.workers.pool import LOCK, PREFIX

CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class Shipped:
    """A file or folder: its path here, a hash that stands for its content, and each file's hash and chunks."""

    path: str
    content: str
    files: tuple[tuple[str, str, tuple[Any, ...]], ...]  # name below the path ("." for a file), SHA-256, references

    @classmethod
    def of(cls, path: Path, content: str, put: Callable[[bytes], Any]) -> Shipped:
        """Put every file into the object store, a chunk at a time."""
        inside = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        return cls(
            str(path),
            content,
            tuple((str(one.relative_to(path)), file_sha256(one), tuple(_chunks(one, put))) for one in inside),
        )

    def here(self, get: Callable[[Any], bytes]) -> str:
        """Where it lies on this machine: in its own place where that holds the same bytes, else in a folder of ours."""
        if _same(self):
            return self.path
        home = _scratch() / self.content[:32]
        if not _same(self, home):
            for name, _, chunks in self.files:
                write_bytes(home / name if name != "." else home, (get(one) for one in chunks))
        return str(home)


def _chunks(path: Path, put: Callable[[bytes], Any]) -> Iterator[Any]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield put(chunk)


def _same(shipped: Shipped, home: Path | None = None) -> bool:
    base = home or Path(shipped.path)
    return all(_digest(str(base / name)) == sha256 for name, sha256, _ in shipped.files)


_known: dict[tuple[str, int, int], str] = {}


def _digest(path: str) -> str:
    """The SHA-256 of a file, computed once a process while its size and time stay what they are; "" without one."""
    try:
        status = os.stat(path)
        key = (path, status.st_size, status.st_mtime_ns)
        if key not in _known:
            _known[key] = file_sha256(Path(path))
        return _known[key]
    except OSError:
        return ""


@cache
def _scratch() -> Path:
    """One folder for all processes of this user on this machine; locked by each, and swept when none is left."""
    name = hashlib.sha256(getpass.getuser().encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}node-{name}"
    while True:
        folder.mkdir(exist_ok=True, mode=0o700)
        lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)  # held as long as this process
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(OSError):
            if os.fstat(lock).st_ino == os.stat(folder / LOCK).st_ino:
                return folder
        os.close(lock)  # swept a moment ago

"""Scratch folders in the temporary folder: marked as ours, locked while their owner lives, swept when it was killed.

What is swept is deleted, so nothing is taken for scratch by its name alone: the folder is this user's and no link, and
its mark, a locked regular file, names the folder itself. A run that was put into the temporary folder, a copy, a
renamed folder and whatever else happens to be called like scratch stay.
"""

import contextlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any, Self

from isobatch.models.shared.regular_files import AT_ONCE, EXCLUSIVE, SHARED, locked

PREFIX = "isobatch-scratch-"
MARK = ".isobatch-scratch"
_KIND = "isobatch-scratch"
_MOST_BYTES = 4096  # of a mark


class Scratch:
    """A new scratch folder, removed at the end. A context manager; first it sweeps what killed owners left."""

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = mark(self.path, EXCLUSIVE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder with all in it. A second time does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def shared_folder(token: str) -> Path:
    """The scratch folder that all processes of this user share on this machine who know the token.

    ``token``: not to be guessed by others. The folder is locked as long as this process lives; when no process is left
    that knows it, it is swept. Raises OSError where somebody else's folder or a link has its name.
    """
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}{token}"
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise OSError(f"{folder} is not a folder of this user alone: remove it, or set TMPDIR to another place")
        with contextlib.suppress(FileNotFoundError):  # swept a moment ago
            lock = mark(folder, SHARED)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), os.lstat(folder / MARK)):
                    return folder
            os.close(lock)


def mark(folder: Path, how: int) -> int:
    """Mark the folder as scratch. Returns the descriptor that holds its lock; closing it gives the folder up."""
    descriptor = locked(folder / MARK, how)  # before it says what it is: a sweep takes no mark that says nothing
    if not os.fstat(descriptor).st_size:
        about = {
            "kind": _KIND,
            "folder": folder.name,
            "uid": os.geteuid(),
            "pid": os.getpid() if how == EXCLUSIVE else None,
        }
        os.pwrite(descriptor, json.dumps(about).encode(), 0)
    return descriptor


def sweep() -> None:
    """Remove the scratch folders of this user whose owners were killed; that of a living one is locked, and stays."""
    with contextlib.suppress(OSError):
        place = os.open(tempfile.gettempdir(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(place):
                if name.startswith(PREFIX):
                    with contextlib.suppress(OSError):
                        _sweep(place, name)
        finally:
            os.close(place)


def _sweep(place: int, name: str) -> None:
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            return
        lock = locked(MARK, AT_ONCE, folder, make=False)
    finally:
        os.close(folder)
    try:
        if _is_ours(lock, name):
            shutil.rmtree(name, dir_fd=place)  # follows no link
    finally:
        os.close(lock)


def _is_ours(descriptor: int, name: str) -> bool:
    about = os.fstat(descriptor)
    if about.st_uid != os.geteuid() or about.st_nlink != 1 or about.st_size > _MOST_BYTES:
        return False
    try:
        said: Any = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.items() >= {"kind": _KIND, "folder": name, "uid": os.geteuid()}.items()

"""The cache as a whole: what it holds, the lock of a study that uses it, and clearing it.

Nothing outside the cache's folder is ever removed: folders are opened without following links, and inside them only
what the program itself names (by hash) is touched.
"""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isobatch.models.shared.regular_files import AT_ONCE, SHARED, locked
from isobatch.pipeline.records.errors import UsageError

PARTS = {
    "artifacts": "built variants",
    "references": "fp64 singles",
    "accuracy": "predicted labels",
    "weights": "resolved weights",
    "drawings": "pictures of reports",
    "sizes": "usable picture sizes",
}
_IN_USE = ".in-use.lock"
_OURS = re.compile(r"\.?[0-9a-f]{8,64}([.-].*)?")
"""A key in hex, with a suffix; a dot in front where it is unfinished work."""


@dataclass(frozen=True)
class Part:
    """One kind of thing in the cache. Times are seconds since the epoch of an entry's last change; None: no entry."""

    name: str
    holds: str
    entries: int
    size_bytes: int
    oldest: float | None


@dataclass(frozen=True)
class Cleared:
    """What was removed, and what was kept, with the reason."""

    parts: tuple[Part, ...]
    kept: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def in_use(root: Path) -> Iterator[None]:
    """While entered, the cache is not cleared. Any number of studies may use it at once.

    Where the lock file cannot be made, there is nothing that could be cleared either: the study goes on without.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = locked(root / _IN_USE, SHARED)  # a clearing that has begun is short
    except OSError:
        yield
        return
    with os.fdopen(lock, "rb"):
        yield


def parts_held(root: Path) -> tuple[Part, ...]:
    """What each part of the cache holds; nothing is followed, changed or created."""
    return tuple(_summed(name, [*map(_weigh, _entries(root / name))]) for name in PARTS)


def used_by_a_study(root: Path) -> bool:
    """Whether a study that uses the cache is running now."""
    try:
        os.close(locked(root / _IN_USE, AT_ONCE, make=False))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def clear(root: Path) -> Cleared:
    """Remove every entry of the cache, except what somebody is building now.

    Raises UsageError: "cache-in-use" while a study uses it, "cache-unusable" where its folder is a link or read-only.
    """
    if root.is_symlink():
        text = f"{root} is a symbolic link, which is not followed: remove what is in {os.readlink(root)} by hand"
        raise UsageError("cache-unusable", text)
    if not root.is_dir():
        return Cleared((), ())
    try:
        with os.fdopen(locked(root / _IN_USE, AT_ONCE), "rb"):
            return _clear(root)
    except BlockingIOError:
        text = f"a running study uses the cache in {root}: wait for it, or end it, and clear again"
        raise UsageError("cache-in-use", text) from None
    except OSError as error:
        raise UsageError("cache-unusable", f"cannot clear {root}: {error.strerror or error}") from error


def _clear(root: Path) -> Cleared:
    parts, kept = [], []
    for name in PARTS:
        removed: list[tuple[int, float]] = []
        try:
            folder = os.open(root / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError:
            kept.append((name, "it is a link or no folder: not followed"))
            continue
        try:
            for entry in sorted(os.listdir(folder)):
                if entry.endswith(".lock"):
                    continue  # empty, and somebody may be waiting at it
                why = "" if _OURS.fullmatch(entry) else "not made by this program"
                if why or (why := _being_built(folder, entry)):
                    kept.append((f"{name}/{entry}", why))
                    continue
                weighed = _weigh(root / name / entry)
                _remove(folder, entry)
                removed.append(weighed)
        finally:
            os.close(folder)
        parts.append(_summed(name, removed))
    return Cleared(tuple(parts), tuple(kept))


def _being_built(folder: int, entry: str) -> str:
    """Why an entry stays: its builder holds its lock. Empty where nobody does."""
    try:
        os.close(locked(f"{entry.lstrip('.')[:32]}.lock", AT_ONCE, folder, make=False))
    except BlockingIOError:
        return "it is being built"
    except OSError:
        return ""
    return ""


def _remove(folder: int, entry: str) -> None:
    """Remove one entry of an open folder: a folder with all in it, of a link the link itself."""
    if stat.S_ISDIR(os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mode):
        shutil.rmtree(entry, dir_fd=folder)  # follows no link either
    else:
        os.unlink(entry, dir_fd=folder)


def _entries(folder: Path) -> list[Path]:
    """What of this program lies in it; nothing where it is a link or no folder."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix != ".lock" and _OURS.fullmatch(path.name)]


def _summed(name: str, weighed: list[tuple[int, float]]) -> Part:
    size = sum(size for size, _ in weighed)
    return Part(name, PARTS[name], len(weighed), size, min((changed for _, changed in weighed), default=None))


def _weigh(path: Path) -> tuple[int, float]:
    """Bytes in the files below, and when the entry last changed; links count as themselves. Vanished: nothing."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0, 0.0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size, status.st_mtime
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size, status.st_mtime

"""The picture files below a folder, and what is left out: hidden and system files, links that leave, other kinds."""

import os
import stat
from collections import Counter
from pathlib import Path

from isobatch.pipeline.inputs.decode import SUFFIXES
from isobatch.pipeline.inputs.request import printable

Skipped = list[dict[str, str]]

_SYSTEM_FOLDERS = ("__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r")


def left_out_folder(name: str) -> str | None:
    """Why a folder of this name holds no pictures of the user's; None where it may."""
    if name.startswith("."):
        return "a hidden folder"
    return "a folder of the system" if name in _SYSTEM_FOLDERS else None


def list_pictures(root: Path) -> tuple[list[Path], Skipped]:
    """The regular files below ``root`` with a picture's suffix, sorted by path, and what was left out and why.

    No file is opened. What is hidden (its name begins with a dot) is left out: thumbnails, and what macOS puts beside
    each file. Links to folders are not followed; links to files count where they stay below ``root``.
    """
    files: list[Path] = []
    skipped: Skipped = []
    others: Counter[str] = Counter()

    def leave_out(path: str | Path, why: str) -> None:
        skipped.append({"file": printable(os.path.relpath(path, root)), "why": why})

    def unreadable(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        for path in (Path(folder, name) for name in sorted(subfolders)):
            if why := left_out_folder(path.name):
                leave_out(path, why)
            elif os.path.islink(path):
                leave_out(path, "a link to a folder: not followed")
        subfolders[:] = [name for name in subfolders if left_out_folder(name) is None]
        for path in (Path(folder, name) for name in names):
            if path.name.lower() in _SYSTEM_FILES:
                leave_out(path, "a file of the system")
            elif path.suffix.lower() not in SUFFIXES:
                others[path.suffix.lower()] += 1
            elif path.name.startswith("."):
                leave_out(path, "a hidden file: rename it if it is meant")
            elif why := _refused(path, root):
                leave_out(path, why)
            else:
                files.append(path)
    for suffix, count in others.items():
        skipped.append({"file": printable(f"*{suffix}"), "why": f"{count} not named as jpeg, png, webp or bmp"})
    return sorted(files, key=os.fsencode), sorted(skipped, key=lambda entry: entry["file"])


def _refused(path: Path, root: Path) -> str | None:
    try:
        mode = path.lstat().st_mode
    except OSError as error:  # a path too long for the system, or a file that is gone
        return f"unreadable: {error.strerror}"
    if stat.S_ISLNK(mode):
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: links in a circle
            return "a link to nothing"
        if not target.is_relative_to(root):
            return "a link that leaves the folder"
        mode = target.stat().st_mode
    return None if stat.S_ISREG(mode) else "not a regular file"

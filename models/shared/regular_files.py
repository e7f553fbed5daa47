"""Files that anybody may have put there: regular ones alone are opened, read within limits, locked, replaced whole.

A FIFO would block whoever opens it, a device never ends, and a link leads elsewhere.
"""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MOST_BYTES = 256 << 20
"""Of a JSON file, where its reader knows no smaller limit: the report of a very large study fits."""
MOST_DEPTH = 64
"""Of lists and objects within one another: a report has 12."""
UNFINISHED = ".unfinished-"
"""In the name of a file that is being written, as in no name that a user would choose."""


EXCLUSIVE, SHARED, AT_ONCE = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_EX | fcntl.LOCK_NB
"""How a file is locked: by one alone, by many, or by one alone and without waiting for others."""


class Altered(OSError):
    """A file is not what it was when it was checked. Nothing that was made from it may be kept."""


def open_regular(path: Path | str, flags: int = os.O_RDONLY, dir_fd: int | None = None) -> int:
    """A descriptor of a regular file. Raises OSError for what is none (a folder, FIFO, device), without waiting."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=dir_fd)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def locked(path: Path | str, how: int, dir_fd: int | None = None, *, make: bool = True) -> int:
    """A descriptor of a file, which holds its lock until it is closed, by the kernel if this process ends.

    The file is made where it is missing, unless not to ``make``; what is in it stays: it may be somebody else's. Raises
    OSError where a link or no regular file is there, BlockingIOError where somebody has the lock, ``AT_ONCE`` asked.
    """
    flags = os.O_RDWR | os.O_CREAT if make else os.O_RDONLY
    descriptor = open_regular(path, flags | os.O_NOFOLLOW, dir_fd)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def file_sha256(path: Path) -> str:
    """The SHA-256 of a regular file's bytes, in hex. Raises OSError."""
    with open(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file. Raises OSError, and ValueError where they are more than ``most_bytes``."""
    with open(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most_bytes else file.read(most_bytes + 1)
    if max(size, len(content)) > most_bytes:
        raise ValueError(f"it has {max(size, len(content))} bytes, and at most {most_bytes} are read")
    return content


def read_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in a regular file.

    Raises OSError, and ValueError for what is too large, no JSON, nested too deeply or no object.
    """
    content = read_regular(path, most_bytes)
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep") from None
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    _require_shallow(value)
    return value


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for node in level
            for inner in (node.values() if isinstance(node, dict) else node)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MOST_DEPTH} deep")


def replaceable(path: Path) -> str | None:
    """Why a file is not to be put in the place of what stands there; None where it may: nothing, or a regular file."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # nothing, or not to be seen: writing says more
        return None
    if stat.S_ISLNK(mode):
        return f"it is a link to {os.readlink(path)}: name that file, or remove the link"
    if stat.S_ISDIR(mode):
        return "it is a folder: name a file"
    return None if stat.S_ISREG(mode) else "it is a device or a pipe, which is not replaced by a file: name a file"


def write_whole(path: Path, chunks: Iterable[bytes]) -> str:
    """Write the chunks to ``path`` so that it appears whole or not at all. Returns the SHA-256 of its bytes, in hex.

    Raises OSError, leaving what stood there before; also where that is a link or no regular file.
    """
    if why := replaceable(path):
        raise OSError(errno.EINVAL, why, str(path))
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:40]}{UNFINISHED}{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Let what is in a file, or which names are in a folder, outlast a loss of power. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

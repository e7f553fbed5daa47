"""The only writer to disk: every file appears whole, by temporary file, fsync and rename."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isobatch.models.shared.regular_files import MOST_BYTES, UNFINISHED, read_object, replaceable, write_whole
from isobatch.pipeline.records.errors import StoreError as StoreError  # with the functions that raise it
from isobatch.pipeline.records.errors import UsageError

unfinished = re.compile(rf"\..{{1,40}}{re.escape(UNFINISHED)}[a-z0-9_]{{8}}", re.DOTALL).fullmatch
"""Whether a name is that of a file that ``write_bytes`` had begun."""
_LONGEST_NAME = 255


def write_bytes(path: Path, chunks: Iterable[bytes]) -> str:
    """Write the chunks to ``path`` so that it appears whole or not at all. Returns the SHA-256 of its bytes, in hex.

    Raises StoreError (no space, no permission, a link or a device in its place), leaving what stood there before.
    """
    try:
        return write_whole(path, chunks)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. "
            "Free space and run again, or choose another place with --out"
        ) from error


def asked_file(text: str) -> Path:
    """A file that the user wants written, before any work for it. Raises UsageError where it would replace what is no
    regular file, or nothing can be written there.
    """
    if why := replaceable(Path(text)) or no_place(Path(text)):
        raise UsageError("out-unusable", f"cannot write {text}: {why}")
    return Path(text)


def no_place(path: Path) -> str | None:
    """Why nothing can be put there, whose folders may not be there yet; None where that is not seen."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        return f"a name in it has more than {_LONGEST_NAME} bytes"
    there = next(filter(os.path.exists, path.absolute().parents), Path("/"))
    if not os.path.isdir(there):
        return f"{there} is no folder"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} may not be written to"


def sweep(folder: Path) -> None:
    """Remove what a process that was killed while it wrote here left behind. For the one writer of the folder alone."""
    for below, _, names in os.walk(folder):
        for name in filter(unfinished, names):
            Path(below, name).unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON-ready values, strictly: NaN and infinities are refused (ValueError), never written as null."""
    write_bytes(path, [json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()])


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in a regular file of limited size and depth. Raises StoreError with the reason where none is."""
    try:
        return read_object(path, most_bytes)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error

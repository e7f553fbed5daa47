"""The only writer to disk: every file appears whole, by temporary file, fsync and rename."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isobatch.pipeline.records.errors import StoreError as StoreError  # with the functions that raise it

_UNFINISHED = ".unfinished-"  # in the name of a file that is being written, as in no name that a user would choose
_TEMPORARY = re.compile(rf"\..{{1,40}}{re.escape(_UNFINISHED)}[a-z0-9_]{{8}}", re.DOTALL)


def write_bytes(path: Path, chunks: Iterable[bytes]) -> str:
    """Write the chunks to ``path`` so that it appears whole or not at all. Returns the SHA-256 of its bytes, in hex.

    Raises StoreError (no space, no permission, not a folder), leaving what stood there before.
    """
    digest = hashlib.sha256()
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}{_UNFINISHED}", dir=path.parent)
        os.fchmod(descriptor, 0o666 & ~_umask())
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. "
            "Free space and run again, or choose another place with --out"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()


def sweep(folder: Path) -> None:
    """Remove what a process that was killed while it wrote here left behind. For the one writer of the folder alone."""
    for below, _, names in os.walk(folder):
        for name in filter(_TEMPORARY.fullmatch, names):
            Path(below, name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write JSON-ready values, strictly: NaN and infinities are refused (ValueError), never written as null."""
    write_bytes(path, [json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()])


def read_json(path: Path) -> Any:
    """The JSON value of a file. Raises StoreError with the reason when it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}. Delete it and run again") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

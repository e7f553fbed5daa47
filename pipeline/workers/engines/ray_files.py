"""Files that tasks read, on the nodes of a cluster: where they lie already, or out of Ray's object store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isobatch.models.shared.scratch import shared
from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.pipeline.storage.files import StoreError, write_bytes

CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class Shipped:
    """A file or folder: its path here, a hash that stands for its content, and each file's hash and chunks."""

    path: str
    content: str
    files: tuple[tuple[str, str, tuple[Any, ...]], ...]  # name below the path ("." for a file), SHA-256, references

    @classmethod
    def of(cls, path: Path, content: str, put: Callable[[bytes], Any]) -> Shipped:
        """Put every file into the object store, a chunk at a time; the hashes are of the bytes that were put."""
        inside = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        return cls(str(path), content, tuple((str(file.relative_to(path)), *_put(file, put)) for file in inside))

    def here(self, get: Callable[[Any], bytes], token: str) -> str:
        """Where it lies on this machine: in its own place where that holds the same bytes, else in a folder of ours.

        ``token``: the study's, known to its own processes alone. Raises StoreError where something else arrives.
        """
        if _same(self, Path(self.path)):
            return self.path
        home = shared_scratch(token) / self.content[:32]
        if home not in _written and not _same(self, home):
            for name, sha256, chunks in self.files:
                if write_bytes(home / name if name != "." else home, (get(chunk) for chunk in chunks)) != sha256:
                    raise StoreError(f"{self.path} did not arrive as it was sent: run again")
        _written.add(home)
        return str(home)


_written: set[Path] = set()
"""What this process has written, or hashed, in a folder that nobody else can write to."""


def _put(path: Path, put: Callable[[bytes], Any]) -> tuple[str, tuple[Any, ...]]:
    """The SHA-256 of the file's bytes, and references to its chunks."""
    digest, chunks = hashlib.sha256(), []
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            chunks.append(put(chunk))
    return digest.hexdigest(), tuple(chunks)


def _same(shipped: Shipped, base: Path) -> bool:
    """Whether these very bytes lie there. They are hashed each time: size and time of a file can be made up."""
    try:
        return all(file_sha256(base / name) == sha256 for name, sha256, _ in shipped.files)
    except OSError:
        return False


@cache
def shared_scratch(token: str) -> Path:
    """The folder of all processes of the study on this machine; locked by each, and swept when none is left."""
    return shared(token)

"""What runs in Ray's processes on the nodes of a cluster: one call in a launcher of the node, and the files it reads:
where they lie already, or out of Ray's object store.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from isobatch.models.shared.scratch import shared_folder
from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.processes.call import WorkerError
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.errors import EngineError
from isobatch.pipeline.storage.files import StoreError, write_bytes

CHUNK_BYTES = 64 << 20
_workers: list[Workers] = []
shared_scratch = cache(shared_folder)
"""By token the folder of all processes of the study on this machine; locked by each, and swept when none is left."""


def answer_call(request: dict[str, Any], files: dict[str, Shipped]) -> dict[str, Any]:
    """{"node", "result", "events", "files"}: of one call its result, what it emitted, and the files it wrote.

    {"node", "unlike"} where this is not a machine of the study; {"node", "error"} where its worker failed.
    """
    ray = importlib.import_module("ray")
    node = {"node": ray.get_runtime_context().get_node_id()}
    if (here := machine(request["environment"])) != request["machine"]:
        return node | {"unlike": here}
    if not _workers:  # one for as long as this process lives: its launcher has its libraries loaded
        _workers.append(Workers(request["timeout_s"]))
    events: list[Any] = []
    try:
        with tempfile.TemporaryDirectory(dir=shared_scratch(request["scratch"])) as scratch:
            places = {path: shipped.here(ray.get, request["scratch"]) for path, shipped in files.items()}
            places |= {path: str(Path(scratch, str(at))) for at, path in enumerate(request["writes"])}
            payload = moved(request["payload"], places)
            result = _workers[0].call(request["environment"], request["function"], payload, events.append)
            written = [Path(places[path]).read_bytes() for path in request["writes"]]
    except WorkerError as error:
        fields = {name: getattr(error, name) for name in ("reason", "kind", "remedy", "trace", "code")}
        return node | {"error": fields | {"storage": False}}
    except EngineError as error:
        return node | {"error": {"reason": str(error), "storage": False, "kind": "killed"}}
    except (StoreError, OSError) as error:
        return node | {"error": {"reason": str(error), "storage": True}}
    return node | {"result": result, "events": events, "files": written}


def moved(value: Any, places: Mapping[str, str]) -> Any:
    """The payload with each path in it replaced by where that lies here."""
    if isinstance(value, dict):
        return {key: moved(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [moved(item, places) for item in value]
    return places.get(value, value) if isinstance(value, str) else value


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

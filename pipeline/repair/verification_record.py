"""The verification record of a repaired artifact, and running its claims again in a fresh process without this project.

A record comes from anywhere: it is validated, its files must lie beside it, and nothing that it names is run but the
artifact itself, by a script made here. TorchScript is code of torch's own small language: it is loaded only if its hash
is the recorded one, or if the user says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from isobatch.pipeline.decide.deployment import serve_script
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Environment, Record, Repair
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.storage.files import read_json, write_bytes

RECORD_FILE = "record.json"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_SHA = r"^[0-9a-f]{64}$"
_MOST_BYTES = 1 << 20  # of a record


class ServedArtifact(Record):
    """The file that a deployment ships, and what must be set to serve it as it was verified."""

    file: str = Field(pattern=_NAME)
    sha256: str = Field(pattern=_SHA)
    size_bytes: int
    runtime: Literal["torch", "onnxruntime", "openvino"]
    streams: int = Field(default=1, ge=1, le=1024)
    engine: str = Field(default="x86", pattern=r"^[a-z0-9]{1,20}$")
    optimise: bool = True


class StoredInputs(Record):
    """The images that the claims were checked on: an .npy file of float32 [n, channels, height, width]."""

    name: str
    file: str = Field(pattern=_NAME)
    sha256: str = Field(pattern=_SHA)
    n: int = Field(ge=1)


class Output(Record):
    """The SHA-256 of the output bytes of all images, in order: the same for every N of the scope."""

    inputs: str
    threads: int = Field(ge=1, le=4096)
    sha256: str = Field(pattern=_SHA)


class VerificationRecord(Record):
    """What was verified of a repaired variant, where, and at what price."""

    kind: Literal["isobatch-verification"] = "isobatch-verification"
    schema_version: Literal[1] = 1
    created_utc: str
    variant: str
    model: str
    weights_sha256: str
    artifact: ServedArtifact
    inputs: list[StoredInputs] = Field(min_length=1)
    batch_sizes: list[int] = Field(min_length=1, max_length=4096)
    outputs: list[Output] = Field(min_length=1)
    n_comparisons: int
    repair: Repair
    environment: Environment


class Claim(Record):
    """One claim of a record, and whether it holds here."""

    claim: str
    holds: bool
    found: str


def read_record(path: Path) -> VerificationRecord:
    """A record from outside. Raises UsageError for one that is damaged, or names files that are not beside it."""
    path = path / RECORD_FILE if path.is_dir() else path
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError("record", f"{path} is larger than any record: give the record.json of a repair")
        record = VerificationRecord.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise UsageError("record", f"{path} is no verification record: {where}: {first['msg']}") from error
    except OSError as error:  # StoreError among them
        raise UsageError("record", f"cannot read {path}: {error.strerror or error}") from error
    for name in (record.artifact.file, *(one.file for one in record.inputs)):
        file = path.parent / name
        if not file.is_file() or file.is_symlink():
            raise UsageError("record", f"{path} names {name}, and there is no such plain file beside it: copy it there")
    return record


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(record: VerificationRecord, folder: Path, hashes: bool, say: Callable[[str], None]) -> Iterator[Claim]:
    """Every claim of the record, run here. Without ``hashes`` files are taken as they are, and the outputs tell.

    Raises UsageError for outputs of images that the record does not name.
    """
    files = [(record.artifact.file, record.artifact.sha256), *((one.file, one.sha256) for one in record.inputs)]
    sound = True
    for name, expected in files if hashes else []:
        found = sha256_of(folder / name)
        sound &= found == expected
        same = found == expected
        yield Claim(claim=f"{name} is the file that was verified", holds=same, found=f"sha256 {found[:16]}")
    if not sound:
        return
    stored = {one.name: one for one in record.inputs}
    if unknown := {output.inputs for output in record.outputs} - stored.keys():
        raise UsageError("record", f"the record has outputs of {sorted(unknown)[0]!r}, and no such images")
    for output in record.outputs:
        where = f"{output.inputs}, {counted(output.threads, 'thread')}"
        say(f"running {record.artifact.file} on {where}")
        try:
            images = stored[output.inputs]
            within = [n for n in record.batch_sizes if n <= images.n]
            served = run_served(record.artifact, folder, images.file, output.threads, within)
        except ServeError as error:
            yield Claim(claim=f"it loads and runs ({where})", holds=False, found=str(error))
            continue
        yield from _claims(served, output, where)


def _claims(served: Mapping[int, Served], output: Output, where: str) -> Iterator[Claim]:
    differing = differing_sizes(served)
    runs = sum(len(one.sums) for one in served.values())
    alike = f"the same output bytes in {runs} runs over {sizes(served)}"
    found = f"differs at N = {', '.join(map(str, differing))}" if differing else alike
    yield Claim(claim=f"batch-invariant ({where})", holds=not differing, found=found)
    same = served[1].plain == output.sha256
    found = "no output changed" if same else "the outputs are others: other weights, another machine or other libraries"
    yield Claim(claim=f"the recorded outputs ({where})", holds=same, found=found)


class ServeError(Exception):
    """The artifact could not be loaded or run."""


@dataclass(frozen=True)
class Served:
    """What a fresh process made of all images at one N: SHA-256 of the outputs, plain and with a batch rotated.

    ``rotated``: None where that was not run, at N that are neither a power of two nor the largest.
    """

    plain: str
    rotated: str | None
    peak_bytes: int

    @property
    def sums(self) -> tuple[str, ...]:
        """All that were made."""
        return (self.plain,) if self.rotated is None else (self.plain, self.rotated)


def run_served(
    artifact: ServedArtifact,
    folder: Path,
    images: str,
    threads: int,
    batch_sizes: Iterable[int],
    done: Callable[[int], None] = lambda n: None,
) -> dict[int, Served]:
    """By N the outputs' sums from a fresh process that knows nothing of this project. ``done`` is told of each N.

    N = 1 is always among them, and the first. Raises ServeError with the process's last line.
    """
    order = sorted({1, *batch_sizes})
    script = serve_script(
        artifact.runtime,
        threads,
        artifact.streams,
        artifact.engine,
        artifact.optimise,
        str((folder / artifact.file).resolve()),
    )
    found = {}
    with tempfile.TemporaryDirectory(prefix="isobatch-") as name, open(Path(name) / "said", "w+") as said:
        write_bytes(Path(name) / "serve.py", [script.encode()])
        with subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", "serve.py", str((folder / images).resolve()), *map(str, order)],
            cwd=name,
            env={**os.environ, **worker_settings(threads)},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                row = json.loads(line)
                found[row["n"]] = Served(row["plain"], row["rotated"], row["peak_bytes"])
                done(row["n"])
        said.seek(0)
        lines = said.read().strip().splitlines()
    if process.returncode:
        last = lines[-1][:300] if lines else f"it ended with {process.returncode}"
        raise ServeError(f"a fresh process could not run it: {last}")
    return found


def differing_sizes(found: Mapping[int, Served]) -> list[int]:
    """The N whose outputs, plain or rotated, are not those of the images alone."""
    singles = found[1].plain
    return [n for n, one in found.items() if {*one.sums} != {singles}]


def holding(claims: Sequence[Claim]) -> bool:
    """Whether every claim holds, and there is one."""
    return bool(claims) and all(one.holds for one in claims)

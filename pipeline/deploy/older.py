"""Records of the first kind, whose torch artifacts were TorchScript: code, which runs only where the user trusts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from isobatch.models.spec.deployed import NETWORK, code_files
from isobatch.pipeline.deploy.check import Checking, Claim, check, digest_claims, run_claims
from isobatch.pipeline.deploy.record import (
    RECORD_FILE,
    SCHEMA_VERSION,
    SHA,
    Preprocessing,
    Serving,
    read_as,
    read_json_file,
    read_record,
    require_beside,
    require_known,
)
from isobatch.pipeline.deploy.serve import Files
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import Record
from isobatch.pipeline.records.wording import counted

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_TORCHSCRIPT = b'''"""Loads a TorchScript file, which is code: for those who trust it."""

import torch


def opened(folder, settings, threads):
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = settings["engine"]
    network = torch.jit.load(str(folder / "network.pt"), map_location="cpu").eval()

    def run(images):
        with torch.inference_mode():
            outputs = network(torch.from_numpy(images))
        return (outputs.view(torch.uint16) if outputs.dtype == torch.bfloat16 else outputs).numpy()

    return run
'''


class _Artifact(Record):
    file: str = Field(pattern=_NAME)
    sha256: str = Field(pattern=SHA)
    size_bytes: int
    runtime: Literal["torch", "onnxruntime"]
    streams: int = Field(default=1, ge=1, le=1024)
    engine: str = Field(default="x86", pattern=r"^[a-z0-9]{1,20}$")
    optimise: bool = True


class _Inputs(Record):
    name: str
    file: str = Field(pattern=_NAME)
    sha256: str = Field(pattern=SHA)
    n: int = Field(ge=1)


class _Output(Record):
    inputs: str
    threads: int = Field(ge=1, le=1024)
    sha256: str = Field(pattern=SHA)


class OlderRecord(Record):
    """A record of schema version 1: all outputs of a set are one sum, whatever N."""

    kind: Literal["isobatch-verification"]
    schema_version: Literal[1]
    created_utc: str
    variant: str
    model: str
    weights_sha256: str
    artifact: _Artifact
    inputs: list[_Inputs] = Field(min_length=1, max_length=64)
    batch_sizes: list[int] = Field(min_length=1, max_length=4096)
    outputs: list[_Output] = Field(min_length=1)
    n_comparisons: int
    repair: dict[str, Any]
    environment: dict[str, Any]


def check_any(path: Path, how: Checking) -> Iterator[Claim]:
    """The claims of a folder's record, or of a record.json, of either kind. Raises UsageError as ``read_record``."""
    file = path / RECORD_FILE if path.is_dir() else path
    content = read_json_file(file)
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        text = f"{file} has schema version {version}, and this program reads 1 to {SCHEMA_VERSION}"
        raise UsageError("record", f"{text}: use the version that wrote it, or a newer one")
    if version == 1:
        yield from _check_older(_older(file, content), file.parent, how)
    else:
        yield from check(read_record(path), file.parent, how)


def _older(file: Path, content: object) -> OlderRecord:
    record = read_as(OlderRecord, file, content)
    require_beside(file, [record.artifact.file, *(stored.file for stored in record.inputs)])
    require_known([output.inputs for output in record.outputs], [stored.name for stored in record.inputs])
    return record


def _check_older(record: OlderRecord, folder: Path, how: Checking) -> Iterator[Claim]:
    artifact = record.artifact
    if artifact.runtime == "torch" and not how.trust:
        raise UsageError(
            "not-trusted",
            f"{artifact.file} is TorchScript, as earlier versions wrote it: a program, which would run with your "
            "rights. Nothing was run. Ask its maker for a folder written by this version; SECURITY.md says more",
        )
    digests = {folder / artifact.file: artifact.sha256} | {folder / s.file: s.sha256 for s in record.inputs}
    known = [] if how.trust else [*digest_claims(digests)]
    yield from known
    if not all(claim.holds for claim in known):
        return
    name = "network.pt" if artifact.runtime == "torch" else "model.onnx"
    code = {**code_files("torch"), NETWORK: _TORCHSCRIPT} if artifact.runtime == "torch" else None
    files = Files(_serving(record), {name: folder / artifact.file}, code, None if how.trust else digests)
    stored = {stored_inputs.name: stored_inputs for stored_inputs in record.inputs}
    for output in record.outputs:
        inputs = stored[output.inputs]
        where = f"{output.inputs}, {counted(output.threads, 'thread')}"
        how.say(f"running {artifact.file} on {where}")
        within = sorted({1, *(n for n in record.batch_sizes if n <= inputs.n)})
        expected = dict.fromkeys(within, output.sha256)
        yield from run_claims(files, folder / inputs.file, output.threads, expected, where, how, True)


def _serving(record: OlderRecord) -> Serving:
    artifact = record.artifact
    return Serving(
        runtime=artifact.runtime,
        threads=max(output.threads for output in record.outputs),
        streams=artifact.streams,
        largest_batch=max(1, *record.batch_sizes),
        batch_size=1,
        shape=(3, 1, 1),
        engine=artifact.engine,
        optimise=artifact.optimise,
        preprocessing=Preprocessing(
            height=1, width=1, short_sides=(1, 1), interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
        preprocessing_measured=False,
    )

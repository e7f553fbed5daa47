"""What a repair hands over: the artifact, its images and script, and the record of fresh processes that ran them."""

from __future__ import annotations

import io
import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isobatch.models.spec.images import Images
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.decide.deployment import serve_script
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import read_environment, worker_settings
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.verification_record import (
    RECORD_FILE,
    Output,
    Served,
    ServedArtifact,
    ServeError,
    StoredInputs,
    VerificationRecord,
    differing_sizes,
    run_served,
    sha256_of,
)
from isobatch.pipeline.storage.files import write_bytes, write_json

NATIVE_FILE = "native"  # beside the artifact while both are compared; it is not kept


class NoRepair(Exception):
    """No rung holds over the scope, or none that holds could be written. ``repairs``: what each one did."""

    def __init__(self, text: str, repairs: Sequence[Repair]) -> None:
        super().__init__(text)
        self.repairs = repairs


def prove(
    stages: Stages,
    spec: VariantSpec,
    sets: Sequence[PreparedSet],
    found: Mapping[str, Any],
    repairs: Sequence[Repair],
    file: Path,
) -> VerificationRecord:
    """The record of the written file, run by processes without this project. Raises NoRepair where it does not hold.

    ``found``: what ``in_worker:repair`` answered; ``file``: the artifact, into whose folder the images go.
    """
    chosen = found["tried"][found["chosen"]]
    serving = found["serving"]
    artifact = _artifact(spec, file, serving)
    inputs = [_stored(one.evaluation, file.parent, number) for number, one in enumerate(sets, 1)]
    threads = [serving["threads"]] if "threads" in serving else list(stages.config.threads)
    outputs, runs = [], 0
    for images, one in zip(inputs, sets, strict=True):
        for count in threads:
            size = one.evaluation.shape[2]
            served = _served(stages, spec, artifact, file.parent, images, size, count, repairs)
            outputs.append(Output(inputs=images.name, threads=count, sha256=served[1].plain))
            runs += sum(len(found.sums) for found in served.values())
    assert stages.weights is not None
    most = max(images.n for images in inputs)  # a larger N was not run
    tested = sorted({1, *(n for n in stages.config.batch_sizes if n <= most)})
    repair = next(one for one in repairs if one.name == chosen["name"])
    if found["native"] is not None:
        native = _artifact(spec, file.with_name(NATIVE_FILE), found["native"])
        ratio = _memory_ratio(stages, artifact, native, file.parent, inputs[0], max(threads))
        repair = repair.model_copy(update={"memory_ratio": ratio})
    return VerificationRecord(
        created_utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        variant=spec.name,
        model=stages.weights.model,
        weights_sha256=stages.weights.sha256,
        artifact=artifact,
        inputs=inputs,
        batch_sizes=tested,
        outputs=outputs,
        n_comparisons=runs - len(outputs) + sum(one["n_comparisons"] for one in chosen["verified"]),
        repair=repair,
        environment=read_environment(stages.threads, {}, worker_settings(stages.threads)),
    )


def _artifact(spec: VariantSpec, file: Path, serving: Mapping[str, Any]) -> ServedArtifact:
    return ServedArtifact(
        file=file.name,
        sha256=sha256_of(file),
        size_bytes=file.stat().st_size,
        runtime=spec.runtime,
        **{name: serving[name] for name in ("streams", "engine", "optimise") if name in serving},
    )


def _stored(images: Images, folder: Path, number: int) -> StoredInputs:
    """The images as float32 in an .npy file of the folder, named by the set as far as a file's name should go.

    ``number``: of the set, so that two sets have two files.
    """
    memory = io.BytesIO()
    np.save(memory, images.read(0, len(images)), allow_pickle=False)
    plain = re.sub(
        r"[^A-Za-z0-9_.-]+", "-", unicodedata.normalize("NFKD", images.name).encode("ascii", "ignore").decode()
    )
    name = f"images-{number}-{plain[:60]}.npy" if plain != images.name else f"images-{plain[:60]}.npy"
    sha256 = write_bytes(folder / name, [memory.getbuffer().tobytes()])
    return StoredInputs(name=images.name, file=name, sha256=sha256, n=len(images))


def _served(
    stages: Stages,
    spec: VariantSpec,
    artifact: ServedArtifact,
    folder: Path,
    images: StoredInputs,
    size: int,
    threads: int,
    repairs: Sequence[Repair],
) -> dict[int, Served]:
    """The sums of all outputs, from a process without this project. Raises NoRepair where they are not one and the
    same.
    """
    within = [n for n in stages.config.batch_sizes if n <= images.n]
    label = f"{artifact.file} in a fresh process: {images.name}, {counted(threads, 'thread')}"
    stages.progress.step(label, 0.0)
    try:
        found = run_served(
            artifact,
            folder,
            images.file,
            threads,
            within,
            lambda n: stages.progress.step(label, cost(spec, images.n, size)),
        )
    except ServeError as error:
        raise NoRepair(f"it holds here, but the file that was written does not serve: {error}", repairs) from error
    if differing := differing_sizes(found):
        where = f"N = {', '.join(map(str, differing))}, {images.name}, {counted(threads, 'thread')}"
        raise NoRepair(f"it holds here, but not in a fresh process, at {where}", repairs)
    return found


def _memory_ratio(
    stages: Stages,
    artifact: ServedArtifact,
    native: ServedArtifact,
    folder: Path,
    images: StoredInputs,
    threads: int,
) -> float | None:
    """Peak memory of a fresh process that serves the repaired file over one that serves the native one, at the largest
    N that the scope and the set have. None where one of them did not run.
    """
    largest = [max(n for n in (1, *stages.config.batch_sizes) if n <= images.n)]
    stages.progress.step("memory, beside the native network", 0.0)
    try:
        peaks = [run_served(one, folder, images.file, threads, largest)[largest[0]] for one in (artifact, native)]
    except ServeError:
        return None
    return peaks[0].peak_bytes / peaks[1].peak_bytes


def deliver(record: VerificationRecord, file: Path, folder: Path) -> None:
    """All files into the folder, the record last: where it is, the rest is."""
    artifact = record.artifact
    threads = max(one.threads for one in record.outputs)
    script = serve_script(artifact.runtime, threads, artifact.streams, artifact.engine, artifact.optimise, None)
    for name in (artifact.file, *(one.file for one in record.inputs)):
        write_bytes(folder / name, [(file.parent / name).read_bytes()])
    write_bytes(folder / "serve.py", [script.encode()])
    write_json(folder / RECORD_FILE, record.model_dump(mode="json"))

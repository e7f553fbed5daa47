"""The ``repair`` command: one variant made batch-invariant over a scope, written, and verified in a fresh process."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.images import Images
from models.registry import find_variant
from models.spec import VariantSpec
from pipeline.config import Config
from pipeline.deployment import ARTIFACTS, serve_script
from pipeline.engines.local import LocalEngine
from pipeline.environment import read_environment, worker_settings
from pipeline.errors import UsageError
from pipeline.execute import WorkerError, Workers
from pipeline.inputs import PreparedSet
from pipeline.measure import artifact_json, cost
from pipeline.prepare import build_artifacts, prepare_inputs, prepare_weights
from pipeline.records import Repair
from pipeline.repair_records import repair_records
from pipeline.runs import cache_root, open_run
from pipeline.stages import Progress, Stages
from pipeline.store import write_bytes, write_json
from pipeline.verification import (
    RECORD_FILE,
    Output,
    ServedArtifact,
    ServeError,
    StoredInputs,
    VerificationRecord,
    run_served,
    sha256_of,
)

_PASSES_PER_IMAGE = 80  # roughly, for the progress display


class NoRepair(Exception):
    """No rung holds over the scope, or none that holds could be written. ``repairs``: what each one did."""

    def __init__(self, text: str, repairs: Sequence[Repair]) -> None:
        super().__init__(text)
        self.repairs = repairs


@dataclass(frozen=True)
class Repaired:
    """What was written, and every rung that was tried for it."""

    record: VerificationRecord
    repairs: Sequence[Repair]
    folder: Path


def repair_variant(config: Config, rung: str | None, folder: Path, progress: Progress) -> Repaired:
    """Repair the only variant of ``config`` over its N and thread counts, and write artifact and record to ``folder``.

    Raises UsageError for input or a folder that cannot be used, NoRepair where nothing holds, WorkerError where the
    variant cannot be built or run here.
    """
    _check_folder(folder)
    spec = find_variant(config.variants[0])
    scratch = Path(tempfile.mkdtemp(prefix="isobatch-"))
    try:
        wanted = replace(config, out=str(scratch / "run"), images=config.images or max(config.batch_sizes, default=1))
        with Workers(config.timeout_s) as workers:
            stages = Stages(wanted, open_run(wanted), cache_root(), workers, progress, LocalEngine(workers, 1))
            prepare_inputs(stages, prepare_weights(stages))
            build_artifacts(stages)
            sets = _sets(stages, spec)
            name = ARTIFACTS[spec.runtime]
            found = _search(stages, spec, sets, rung, scratch / name)
            repairs = repair_records(found["tried"], config.policy.objective)
            if found["chosen"] is None:
                why = "; ".join([*(f"{one.name}: {one.note}" for one in repairs), *found["unwritten"]])
                raise NoRepair(f"no rung makes {spec.name} batch-invariant over the scope. {why}", repairs)
            record = _record(stages, spec, sets, found, repairs, scratch / name)
            _write(record, scratch / name, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Repaired(record, repairs, folder)


def _check_folder(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("out-not-empty", f"{folder} exists and is not an empty folder: choose another --out")


def _sets(stages: Stages, spec: VariantSpec) -> list[PreparedSet]:
    """The sets to verify on, the one first whose artifact is repaired: the last, which fits the weights."""
    if spec.name in stages.failures:
        failure = stages.failures[spec.name]
        raise WorkerError(failure.reason, failure.status, failure.remedy)
    able = [one for one in reversed(stages.sets) if (spec.name, one.record.name) in stages.artifacts]
    return [*able[:1], *(one for one in reversed(stages.sets) if one is not able[0])]


def _search(
    stages: Stages, spec: VariantSpec, sets: Sequence[PreparedSet], rung: str | None, file: Path
) -> dict[str, Any]:
    images = sets[0].evaluation
    label = f"repair of {spec.name}"
    stages.progress.plan(cost(spec, _PASSES_PER_IMAGE * len(images), images.shape[2]))
    payload = {
        "variant": spec.name,
        "artifact": artifact_json(stages.artifacts[spec.name, sets[0].record.name]),
        "sets": [one.evaluation.to_json() for one in sets],
        "threads": list(stages.config.threads),
        "batch_sizes": list(stages.config.batch_sizes),
        "seed": stages.config.seed,
        "rung": rung,
        "objective": stages.config.policy.objective,
        "file": str(file),
    }
    found: dict[str, Any] = stages.workers.call(
        worker_settings(stages.threads),
        "pipeline.repair_inside:repair",
        payload,
        lambda event: stages.progress.step(label, cost(spec, event["images"], images.shape[2])),
    )
    return found


def _record(
    stages: Stages,
    spec: VariantSpec,
    sets: Sequence[PreparedSet],
    found: Mapping[str, Any],
    repairs: Sequence[Repair],
    file: Path,
) -> VerificationRecord:
    chosen = found["tried"][found["chosen"]]
    serving = found["serving"]
    artifact = ServedArtifact(
        file=file.name,
        sha256=sha256_of(file),
        size_bytes=file.stat().st_size,
        runtime=spec.runtime,
        **{name: serving[name] for name in ("streams", "engine", "optimise") if name in serving},
    )
    inputs = [_stored(one.evaluation, file.parent) for one in sets]
    threads = [serving["threads"]] if "threads" in serving else list(stages.config.threads)
    outputs = []
    for images in inputs:
        for count in threads:
            stages.progress.step(f"{file.name} in a fresh process: {images.name}, {count} threads", 0.0)
            outputs.append(_served(artifact, file.parent, images, count, stages.config.batch_sizes, repairs))
    assert stages.weights is not None
    sizes = sorted({1, *(n for n in stages.config.batch_sizes)})
    return VerificationRecord(
        created_utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        variant=spec.name,
        model=stages.weights.model,
        weights_sha256=stages.weights.sha256,
        artifact=artifact,
        inputs=inputs,
        batch_sizes=sizes,
        outputs=outputs,
        n_comparisons=2 * len(sizes) * len(outputs) + sum(one["n_comparisons"] for one in chosen["verified"]),
        repair=next(one for one in repairs if one.name == chosen["name"]),
        environment=read_environment(stages.threads, {}, worker_settings(stages.threads)),
    )


def _stored(images: Images, folder: Path) -> StoredInputs:
    """The images as float32 in an .npy file of the folder."""
    memory = io.BytesIO()
    np.save(memory, images.read(0, len(images)), allow_pickle=False)
    name = f"images-{images.name}.npy"
    sha256 = write_bytes(folder / name, [memory.getbuffer().tobytes()])
    return StoredInputs(name=images.name, file=name, sha256=sha256, n=len(images))


def _served(
    artifact: ServedArtifact,
    folder: Path,
    images: StoredInputs,
    threads: int,
    batch_sizes: Sequence[int],
    repairs: Sequence[Repair],
) -> Output:
    """The one sum of all outputs, from a process without this project. Raises NoRepair where there are two."""
    within = [n for n in batch_sizes if n <= images.n]
    try:
        sums = run_served(artifact, folder, images.file, threads, within)
    except ServeError as error:
        raise NoRepair(f"it holds here, but the file that was written does not serve: {error}", repairs) from error
    differing = [n for n, both in sums.items() if set(both) != {sums[1][0]}]
    if differing:
        where = f"N = {', '.join(map(str, differing))}, {images.name}, {threads} threads"
        raise NoRepair(f"it holds here, but not in a fresh process, at {where}", repairs)
    return Output(inputs=images.name, threads=threads, sha256=sums[1][0])


def _write(record: VerificationRecord, file: Path, folder: Path) -> None:
    """All files into the folder, the record last: where it is, the rest is."""
    artifact = record.artifact
    threads = max(one.threads for one in record.outputs)
    script = serve_script(artifact.runtime, threads, artifact.streams, artifact.engine, artifact.optimise, None)
    for name in (artifact.file, *(one.file for one in record.inputs)):
        write_bytes(folder / name, [(file.parent / name).read_bytes()])
    write_bytes(folder / "serve.py", [script.encode()])
    write_json(folder / RECORD_FILE, record.model_dump(mode="json"))

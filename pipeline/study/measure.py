"""The stages that gather evidence: the fp64 references, then every variant in two rounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import OutOfMemory
from isobatch.pipeline.config.conditions import Setting, settings
from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.parts import cut, joined
from isobatch.pipeline.evidence.plan import ROUNDS, Job
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.prepare.artifacts import REFERENCE, ruler
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.records.wording import setting as words_of
from isobatch.pipeline.storage.files import StoreError
from isobatch.pipeline.study.isolated import EVERYBODYS, fault
from isobatch.pipeline.study.jobs import priced, warmed
from isobatch.pipeline.workers.engines import Task, run_tasks
from isobatch.pipeline.workers.pool import WorkerError
from isobatch.pipeline.workers.wire import artifact_json

Rounds = dict[tuple[str, str, Condition], list[Evidence]]
"""(variant, input set, condition) -> its evidence, one per round."""


@dataclass(frozen=True)
class Gathered:
    """The evidence of a study. ``timed``: of each set's first part only, whose calls were timed with nothing beside."""

    rounds: Rounds
    timed: Rounds


def run_references(stages: Stages) -> dict[str, Evidence]:
    """The ruler's singles of every input set, on the CPU: kept in the cache by weights, inputs and toolchain.

    fp64; of an ONNX file those of the file as it is, whether or not that variant was asked for.
    """
    jobs: dict[str, list[Job]] = {}
    reference = ruler(stages.config)
    for prepared in stages.sets:
        name, count = prepared.record.name, len(prepared.evaluation)
        if (artifact := stages.artifacts.get((reference, name))) is None:
            continue
        condition = Setting(stages.threads).at(prepared.evaluation.shape[2])
        passes = (Pass("singles", 1, 0, count),)
        whole = Job(reference, name, condition, 0, passes, artifact.key, prepared.evaluation.seen_sha256)
        jobs[name] = whole.cut(cut(count, ()))
    files = {job: stages.cache / "references" / f"{job.id}.safetensors" for parts in jobs.values() for job in parts}
    lost = _run(stages, {job: file for job, file in files.items() if _kept(stages, job, file) is None})
    for reason in list(lost.values())[:1]:
        stages.fail(reference, WorkerError(reason, OutOfMemory.__name__))
    if failure := stages.failures.get(reference):
        stages.warn("no-ruler", f"{reference} failed, so no error is measured against it: {failure.reason}")
    found = {}
    for name, parts in jobs.items():
        kept = [one for job in parts if (one := _kept(stages, job, files[job])) is not None]
        if len(kept) == len(parts):
            found[name] = joined(kept)
    return found


def run_evidence(stages: Stages, jobs: Sequence[Job]) -> Gathered:
    """Run every job not kept from an interrupted start, and read the evidence of all.

    A file is there whole or not at all, so what is kept is known without reading it; what turns out to be damaged, or
    of another machine, when it is read is run again. A job with too little memory is recorded as one that failed, with
    its other parts and rounds, and all others go on.
    """
    files = {job: stages.run.evidence_file(job.variant, job.file_name) for job in jobs}
    kept = [job for job in jobs if files[job].is_file()]
    stages.kept_jobs += len(kept)
    for job in kept:
        stages.progress.step(f"{job.variant}, {job.inputs}: kept", _job_cost(job))
    lost = _run(stages, {job: files[job] for job in jobs if job not in set(kept)})
    damaged = [job for job in kept if job.variant not in stages.failures and _kept(stages, job, files[job]) is None]
    stages.kept_jobs -= len(damaged)
    lost |= _run(stages, {job: files[job] for job in damaged}, lost)
    _record_lost(stages, lost, {job.variant for job in jobs if _key(job) not in lost})
    parts: dict[tuple[str, str, Condition, int], list[Evidence]] = {}
    for job in jobs:
        if job.variant not in stages.failures and _key(job) not in lost:
            key = (job.variant, job.inputs, job.condition, job.round)
            parts.setdefault(key, []).append(read_evidence(files[job]))
    found = Gathered({}, {})
    for (variant, inputs, condition, _), evidence in parts.items():
        if variant in stages.failures:
            continue
        try:
            whole = joined(evidence)
        except EVERYBODYS:
            raise
        except Exception as error:
            stages.fail(variant, fault("joining its evidence", error))
            continue
        found.rounds.setdefault((variant, inputs, condition), []).append(whole)
        found.timed.setdefault((variant, inputs, condition), []).append(evidence[0])
    return found


Key = tuple[str, str, Condition]
"""Variant, input set and condition: what a study compares as a whole."""


def _key(job: Job) -> Key:
    return job.variant, job.inputs, job.condition


def _record_lost(stages: Stages, lost: Mapping[Key, str], left: Collection[str]) -> None:
    """Each job that had too little memory; a variant of which nothing is ``left`` has failed."""
    for (variant, inputs, condition), reason in lost.items():
        if variant in left:
            stages.skip(variant, inputs, words_of(condition), reason, failed=True)
        elif variant not in stages.failures:
            remedy = "smaller --batch-sizes or --image-size, or a device with more memory"
            stages.fail(variant, WorkerError(reason, OutOfMemory.__name__, remedy))


def _job_cost(job: Job) -> float:
    return cost(find_variant(job.variant), job.images_passed, job.condition.image_size)


def _kept(stages: Stages, job: Job, file: Path) -> Evidence | None:
    """Evidence already on disk and whole, or None; also where it is of another machine, as nothing may mix the two."""
    try:
        found = read_evidence(file) if file.is_file() else None
    except StoreError:
        return None
    here = machine(Setting.of(job.condition).environment, _device(stages, job))
    return found if found and found.machine in (here, "") else None  # older files do not tell


def _device(stages: Stages, job: Job) -> Mapping[str, str]:
    """The facts of the device that the job runs on, if it is not the CPU."""
    return {} if job.condition.device == "cpu" else stages.device


def _run(stages: Stages, files: dict[Job, Path], known: Mapping[Key, str] = {}) -> dict[Key, str]:
    """Run these jobs in the study's engine; each worker writes its evidence to the job's file.

    A variant that fails is recorded, and those of its jobs that have not started are left out. Returns why jobs had too
    little memory, those in ``known`` among them; others of the same key that have not started are left out.
    """
    running: list[Job] = []
    lost = dict(known)
    jobs = {_task(stages, job, file, running): job for job, file in files.items()}

    def unwanted(task: Task) -> bool:
        return jobs[task].variant in stages.failures or _key(jobs[task]) in lost

    for task, result in run_tasks(stages.engine, list(jobs), unwanted):
        running.remove(jobs[task])
        try:
            result()
        except WorkerError as error:
            if error.kind == OutOfMemory.__name__:
                lost.setdefault(_key(jobs[task]), error.reason)
            elif jobs[task].variant not in stages.failures:
                stages.fail(jobs[task].variant, error)
    return lost


def _task(stages: Stages, job: Job, file: Path, running: list[Job]) -> Task:
    """The job as a task. ``running``: it is added there when it starts; the oldest of them is what progress shows."""
    spec, setting = find_variant(job.variant), Setting.of(job.condition)
    (prepared,) = (one for one in stages.sets if one.record.name == job.inputs)
    images, artifact = prepared.evaluation, stages.artifacts[job.variant, job.inputs]
    per_image = cost(spec, 1, job.condition.image_size)

    def begun() -> None:
        running.append(job)
        stages.most_workers = max(stages.most_workers, len(running))
        stages.progress.step(_label(stages, job), 0.0, len(running) - 1)

    def on_event(event: dict[str, Any]) -> None:
        shown = running or [job]  # a cluster tells what a job said when it has ended
        stages.progress.step(_label(stages, shown[0]), event["images"] * per_image, len(shown) - 1)

    return Task(
        environment=setting.environment,
        function="isobatch.pipeline.study.in_worker:measure",
        payload=lambda: _payload(stages, job, file, images),
        threads=setting.threads,
        # a GPU's memory is not shared out as threads are: what runs there runs alone
        alone=setting.device != "cpu" or (spec.role == "candidate" and priced(stages, job)),
        reads={images.path: images.sha256, str(artifact.folder): artifact.key},
        writes=(str(file),),
        begun=begun,
        on_event=on_event,
    )


def _payload(stages: Stages, job: Job, file: Path, images: Images) -> dict[str, Any]:
    """What ``worker.measure`` is called with."""
    spec, setting = find_variant(job.variant), Setting.of(job.condition)
    return {
        "variant": spec.name,
        "settings": setting.runner,
        "isa": stages.caps.seen.get(setting.isa, {}),
        "inputs": job.inputs,
        "round": job.round,
        "artifact": artifact_json(stages.artifacts[job.variant, job.inputs]),
        "images": replace(images, labels=None).to_json(),
        "passes": [astuple(p) for p in job.in_order],
        "clips": spec.calibrated and job.round == 0,
        "timed": warmed(stages, job),
        "whole": job.whole,
        "device": dict(_device(stages, job)),
        "file": str(file),
    }


def _label(stages: Stages, job: Job) -> str:
    if job.variant == REFERENCE:
        return "fp64 reference"
    where = f", {Setting.of(job.condition).words}" if len(settings(stages.config)) > 1 else ""
    return f"{job.variant}, round {job.round + 1} of {ROUNDS}{where}"

"""The stages that gather evidence: the fp64 references, then every variant in two rounds."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isobatch.models.spec.words import OutOfMemory
from isobatch.pipeline.config.conditions import GridPoint
from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.parts import cut, joined
from isobatch.pipeline.evidence.plan import Job
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.prepare.artifacts import REFERENCE, reference_name
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.engines import Task, run_tasks
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.records.wording import condition_words
from isobatch.pipeline.storage.files import StoreError
from isobatch.pipeline.study.isolated import EVERYBODYS, fault
from isobatch.pipeline.study.tasks import Together, device_facts, job_cost, shares_times, task_of, together

Rounds = dict[tuple[str, str, Condition], list[Evidence]]
"""(variant, input set, condition) -> its evidence, one per round."""


@dataclass(frozen=True)
class Gathered:
    """The evidence of a study."""

    rounds: Rounds
    timed: Rounds  # of each set's first part only, whose calls were timed with nothing beside


def run_references(stages: Stages) -> dict[str, Evidence]:
    """The reference's singles of every input set, on the CPU: kept in the cache by weights, inputs and toolchain.

    fp64; of an ONNX file those of the file as it is, whether or not that variant was asked for. A network that does not
    run in float64, as it makes float32 numbers of its own, is measured by its baseline.
    """
    references = _singles(stages, reference_name(stages))
    if not references and not stages.config.onnx:
        stages.without_fp64 = True
        references = _singles(stages, reference_name(stages))
        instead = reference_name(stages)
        against = f"errors and answers are measured against {instead}" if references else "no error is measured"
        failure = stages.failures.get(REFERENCE)
        stages.warn("no-reference", f"{REFERENCE} failed, so {against}{f': {failure.reason}' if failure else ''}")
    return references


def _singles(stages: Stages, reference: str) -> dict[str, Evidence]:
    """The singles of this variant by input set; of those sets alone of which all parts could be run."""
    jobs: dict[str, list[Job]] = {}
    for prepared in stages.sets:
        name, count = prepared.record.name, len(prepared.evaluation)
        if (artifact := stages.artifacts.get((reference, name))) is None:
            continue
        condition = GridPoint(stages.threads).at(prepared.evaluation.side)
        passes = (Pass("singles", 1, 0, count),)
        whole = Job(reference, name, condition, 0, passes, artifact.key, prepared.evaluation.seen_sha256)
        jobs[name] = whole.cut(cut(count, ()))
    files = {job: stages.cache / "references" / f"{job.id}.safetensors" for parts in jobs.values() for job in parts}
    missing = {job: file for job, file in files.items() if _kept(stages, job, file) is None}
    lost = _run(stages, missing, label=f"{reference} reference")
    for reason in list(lost.values())[:1]:
        stages.fail(reference, WorkerError(reason, OutOfMemory.__name__))
    references = {}
    for name, parts in jobs.items():
        kept = [evidence for job in parts if (evidence := _kept(stages, job, files[job])) is not None]
        if len(kept) == len(parts):
            references[name] = joined(kept)
            stages.reference_files[name] = tuple(str(files[job]) for job in parts)
    return references


def run_evidence(
    stages: Stages,
    jobs: Sequence[Job],
    ready: Callable[[str, Rounds], None],
    too_late: Callable[[Together], bool] = lambda jobs: False,
) -> Gathered:
    """Run every job not kept from an interrupted start; read the evidence of each variant as soon as it has all of it.

    What is kept and turns out to be damaged, or of another machine, is run again. A job with too little memory is
    recorded as one that failed, with its other parts and rounds, and all others go on. ``ready(variant, rounds)`` is
    called once for every variant, in the order in which they end; of one that failed there are no rounds.
    ``too_late(jobs)``: asked before these of one variant begin, whether it is left out, as a failure, for want of time.
    """
    files = {job: stages.run.evidence_file(job.variant, job.file_name) for job in jobs}
    kept = {job for job in jobs if _kept(stages, job, files[job]) is not None}
    stages.kept_jobs += len(kept)
    stages.announce("evidence", sum(job_cost(job) for job in jobs if job not in kept))
    for job in sorted(kept, key=jobs.index):
        stages.progress.step(f"{job.variant}, {job.inputs}: kept", 0.0)
    results = Gathered({}, {})

    def ended(variant: str, lost: Mapping[Key, str]) -> None:
        own = [job for job in jobs if job.variant == variant]
        _record_lost(
            stages,
            {key: why for key, why in lost.items() if key[0] == variant},
            {variant for job in own if _key(job) not in lost},
        )
        gathered = _gather(stages, {job: files[job] for job in own if _key(job) not in lost})
        results.rounds.update(gathered.rounds)
        results.timed.update(gathered.timed)
        ready(variant, gathered.rounds)

    left = {job: files[job] for job in jobs if job not in kept}
    running = {job.variant for job in left}
    for variant in dict.fromkeys(job.variant for job in jobs if job.variant not in running):
        ended(variant, {})
    _run(stages, left, ended, too_late=too_late)
    if shares_times(stages) and stages.most_workers > 1:
        beside = f"up to {stages.most_workers} workers ran side by side"
        stages.warn("shared-times", f"{beside}: times of the passes are orientation, the race's are not")
    return results


def _gather(stages: Stages, files: Mapping[Job, Path]) -> Gathered:
    """The evidence of one variant, its parts joined; nothing where it has failed."""
    parts: dict[tuple[str, str, Condition, int], list[Evidence]] = {}
    for job, file in files.items():
        if job.variant not in stages.failures:
            parts.setdefault((*_key(job), job.round), []).append(read_evidence(file))
    gathered = Gathered({}, {})
    for (variant, inputs, condition, _), evidence in parts.items():
        try:
            whole = joined(evidence)
        except EVERYBODYS:
            raise
        except Exception as error:
            stages.fail(variant, fault("joining its evidence", error))
            return Gathered({}, {})
        gathered.rounds.setdefault((variant, inputs, condition), []).append(whole)
        gathered.timed.setdefault((variant, inputs, condition), []).append(evidence[0])
    return gathered


Key = tuple[str, str, Condition]
"""Variant, input set and condition: what a study compares as a whole."""


def _key(job: Job) -> Key:
    return job.variant, job.inputs, job.condition


def _record_lost(stages: Stages, lost: Mapping[Key, str], left: Collection[str]) -> None:
    """Each job that had too little memory; a variant of which nothing is ``left`` has failed."""
    for (variant, inputs, condition), reason in lost.items():
        if variant in left:
            stages.skip(variant, inputs, condition_words(condition), reason, failed=True)
        elif variant not in stages.failures:
            remedy = "smaller --batch-sizes or --image-size, or a device with more memory"
            stages.fail(variant, WorkerError(reason, OutOfMemory.__name__, remedy))


def _kept(stages: Stages, job: Job, file: Path) -> Evidence | None:
    """Evidence already on disk and whole, or None; also where it is of another machine, as nothing may mix the two."""
    try:
        kept = read_evidence(file) if file.is_file() else None
    except StoreError:
        return None
    here = machine(GridPoint.of(job.condition).environment, device_facts(stages, job))
    return kept if kept and kept.machine == here else None


def _run(
    stages: Stages,
    files: Mapping[Job, Path],
    ended: Callable[[str, Mapping[Key, str]], None] = lambda *_: None,
    label: str = "",
    too_late: Callable[[Together], bool] = lambda jobs: False,
) -> dict[Key, str]:
    """Run these jobs in the study's engine; each worker writes its evidence to the jobs' files.

    A variant that fails is recorded, and those of its jobs that have not started are left out. Returns why jobs had too
    little memory; others of the same key that have not started are left out. ``ended``: called for each variant when
    its last job has ended or was left out, with what was lost so far.
    """
    running: list[Job] = []
    lost: dict[Key, str] = {}
    groups = {task_of(stages, group, files, running, label): group for group in together(stages, files)}
    left = Counter(group[0].variant for group in groups.values())

    def over(variant: str) -> None:
        left[variant] -= 1
        if not left[variant]:
            ended(variant, lost)

    def unwanted(task: Task) -> bool:
        group = groups[task]
        variant = group[0].variant
        if variant in stages.failures or all(_key(job) in lost for job in group) or too_late(group):
            over(variant)
            return True
        return False

    for task, result in run_tasks(stages.engine, list(groups), unwanted):
        group = groups[task]
        running.remove(group[0])
        try:
            for job, reason in zip(group, result(), strict=True):
                if reason is not None:
                    lost.setdefault(_key(job), reason)
        except WorkerError as error:
            if group[0].variant not in stages.failures:
                stages.fail(group[0].variant, error)
        over(group[0].variant)
    return lost

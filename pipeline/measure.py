"""The stages that gather evidence: the fp64 references, then every variant in two rounds."""

from __future__ import annotations

from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from models.registry import find_variant
from models.spec import Artifact, VariantSpec
from pipeline.conditions import Setting, probe_caps, settings, why_not
from pipeline.environment import cpu_flags
from pipeline.evidence import Evidence, Pass
from pipeline.execute import WorkerError
from pipeline.inputs import PreparedSet
from pipeline.isa import flags_under
from pipeline.plan import ROUNDS, Job, in_rounds, plan_passes, too_large
from pipeline.prepare import REFERENCE
from pipeline.records import Condition, NotRun
from pipeline.stages import Stages, emulated, measured_images
from pipeline.store import StoreError, read_evidence

_IMAGES_PER_SECOND = {"fp64": 6.0, "fp32": 15.0, "bf16": 28.0, "fp16": 10.0, "int8": 50.0}  # at 224 x 224, 2 cores


def cost(spec: VariantSpec, images_passed: int, size: int) -> float:
    """Rough seconds for so many images of this size: only for the progress display."""
    return images_passed * (size / 224) ** 2 / _IMAGES_PER_SECOND.get(spec.precision, 20.0)


def plan_jobs(stages: Stages) -> list[list[Job]]:
    """The evidence jobs in the order they run, grouped by what one worker does: a variant and setting, a round.

    What is not run (N above the set's size, too few images where arithmetic is emulated, a condition that cannot act
    on a variant) is recorded with its reason.
    """
    groups = []
    stages.caps = probe_caps(stages.config, stages.workers)
    specs = [spec for spec in stages.specs if spec.role == "candidate"]
    for setting in settings(stages.config):
        reasons = {spec.name: why_not(spec, setting, stages.config, stages.caps) for spec in specs}
        for name, reason in reasons.items():
            if reason and NotRun(inputs="all", what=reason[0], why=reason[1]) not in stages.not_run.get(name, []):
                stages.skip(name, "all", *reason)
        for turn, name in in_rounds([spec.name for spec in specs if reasons[spec.name] is None]):
            sets = [p for p in stages.sets if (name, p.record.name) in stages.artifacts]
            groups.append([_job(stages, find_variant(name), prepared, setting, turn) for prepared in sets])
    for spec in specs:
        for prepared in stages.sets:
            if (spec.name, prepared.record.name) in stages.artifacts:
                _note_left_out(stages, spec, prepared, cpu_flags())
    return groups


def _job(stages: Stages, spec: VariantSpec, prepared: PreparedSet, setting: Setting, turn: int) -> Job:
    config, name = stages.config, prepared.record.name
    count = measured_images(spec, prepared.evaluation, flags_under(setting.isa, cpu_flags()))
    return Job(
        variant=spec.name,
        inputs=name,
        condition=setting.at(prepared.evaluation.shape[2]),
        round=turn,
        passes=plan_passes(
            count,
            config.batch_sizes,
            probes=turn == 0,
            timed=_timed(stages, spec, prepared),
            rotations=config.position,
            neighbours=config.neighbours,
        ),
        artifact_key=stages.artifacts[spec.name, name].key,
        inputs_sha256=prepared.evaluation.sha256,
    )


def _timed(stages: Stages, spec: VariantSpec, prepared: PreparedSet) -> bool:
    """Whether calls are run for good timings too: on the last set, and not where nobody would deploy what is timed."""
    return prepared is stages.sets[-1] and not emulated(spec, cpu_flags())


def _note_left_out(stages: Stages, spec: VariantSpec, prepared: PreparedSet, flags: frozenset[str]) -> None:
    name, count = prepared.record.name, measured_images(spec, prepared.evaluation, flags)
    if count < len(prepared.evaluation):
        why = (
            f"this processor has none of {', '.join(spec.native_isa)}: {spec.precision} arithmetic is emulated and slow"
        )
        stages.skip(spec.name, name, f"images beyond the first {count}", why)
    if large := too_large(count, stages.config.batch_sizes):
        text = ", ".join(f"N = {n}" for n in large)
        stages.skip(spec.name, name, text, f"only {count} images: images are never repeated to fill a batch")


def run_references(stages: Stages) -> dict[str, Evidence]:
    """The fp64 singles of every input set: kept in the cache by weights, inputs and toolchain."""
    spec, found = find_variant(REFERENCE), {}
    for prepared in stages.sets:
        name = prepared.record.name
        if (artifact := stages.artifacts.get((REFERENCE, name))) is None:
            continue
        condition = Setting(stages.threads).at(prepared.evaluation.shape[2])
        passes = (Pass("singles", 1, 0, len(prepared.evaluation)),)
        job = Job(REFERENCE, name, condition, 0, passes, artifact.key, prepared.evaluation.sha256)
        kept = stages.cache / "references" / f"{job.id}.safetensors"
        if (evidence := _kept(kept)) is None:
            try:
                _measure(stages, spec, [(job, prepared, artifact, kept)])
            except WorkerError as error:
                stages.fail(REFERENCE, error)
                stages.warn("no-ruler", f"{REFERENCE} failed, so no error is measured against it: {error}")
                break
            evidence = read_evidence(kept)
        found[name] = evidence
    return found


def run_evidence(stages: Stages, groups: list[list[Job]]) -> dict[tuple[str, str, Condition], list[Evidence]]:
    """Run every job not kept from an interrupted start: (variant, input set, condition) -> evidence by round."""
    sets = {prepared.record.name: prepared for prepared in stages.sets}
    found: dict[tuple[str, str, Condition], list[Evidence]] = {}
    for group in groups:
        if not group or group[0].variant in stages.failures:
            continue
        spec = find_variant(group[0].variant)
        todo = []
        for job in group:
            file = stages.run.evidence_file(job.variant, job.file_name)
            if _kept(file) is None:
                artifact = stages.artifacts[job.variant, job.inputs]
                todo.append((job, sets[job.inputs], artifact, file))
            else:
                stages.kept_jobs += 1
                stages.progress.step(f"{job.variant}, {job.inputs}: kept", _job_cost(spec, job))
        try:
            if todo:
                _measure(stages, spec, todo)
            for job in group:
                evidence = read_evidence(stages.run.evidence_file(job.variant, job.file_name))
                found.setdefault((job.variant, job.inputs, job.condition), []).append(evidence)
        except WorkerError as error:
            stages.fail(spec.name, error)
    return {key: rounds for key, rounds in found.items() if key[0] not in stages.failures}


def _job_cost(spec: VariantSpec, job: Job) -> float:
    return cost(spec, job.images_passed, job.condition.image_size)


def _kept(file: Path) -> Evidence | None:
    """Evidence already on disk and whole, or None."""
    try:
        return read_evidence(file) if file.is_file() else None
    except StoreError:
        return None


def _measure(stages: Stages, spec: VariantSpec, todo: list[tuple[Job, PreparedSet, Artifact, Path]]) -> None:
    """One worker runs these jobs of one variant and writes their evidence."""
    setting = Setting.of(todo[0][0].condition)
    per_image = {job.inputs: cost(spec, 1, job.condition.image_size) for job, *_ in todo}
    where = f", {setting.words}" if len(settings(stages.config)) > 1 else ""
    turn = f"{spec.name}, round {todo[0][0].round + 1} of {ROUNDS}{where}"
    label = turn if spec.role == "candidate" else "fp64 reference"
    stages.progress.step(label, 0.0)

    def on_event(event: dict[str, Any]) -> None:
        stages.progress.step(label, event["images"] * per_image[event["inputs"]])

    payload = {
        "variant": spec.name,
        "settings": setting.runner,
        "isa": stages.caps.seen.get(setting.isa, {}),
        "jobs": [
            {
                "inputs": job.inputs,
                "round": job.round,
                "artifact": artifact_json(artifact),
                "images": prepared.evaluation.to_json(),
                "passes": [astuple(p) for p in job.in_order],
                "clips": spec.calibrated and job.round == 0,
                "timed": spec.role == "candidate" and _timed(stages, spec, prepared),
                "file": str(file),
            }
            for job, prepared, artifact, file in todo
        ],
    }
    stages.workers.call(setting.environment, "pipeline.worker:measure", payload, on_event)


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as JSON-ready values; ``worker.read_artifact`` is the inverse."""
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}

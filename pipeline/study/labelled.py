"""The stage of the labelled images: what each variant predicts, computed once per artifact and machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import key_of
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES
from isobatch.models.spec.words import Artifact, VariantSpec
from isobatch.pipeline.machine.environment import machine_key, toolchain
from isobatch.pipeline.machine.isa_caps import NATIVE
from isobatch.pipeline.prepare.artifacts import baseline
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.storage.files import StoreError, read_json, write_json
from isobatch.pipeline.workers.engines import Task, run_tasks
from isobatch.pipeline.workers.pool import WorkerError
from isobatch.pipeline.workers.wire import artifact_json

BASELINE_SINGLES = "baseline singles"


@dataclass(frozen=True)
class Predictions:
    """The predicted class of every labelled image, and the N they were computed at."""

    classes: tuple[int, ...]
    batch_size: int


@dataclass(frozen=True)
class LabelledRun:
    """The labelled images of an input set, and what each variant predicts for them."""

    inputs: str
    images: Images
    predictions: dict[str, Predictions]  # by variant, and BASELINE_SINGLES


def run_labelled(stages: Stages, fastest: dict[str, int]) -> LabelledRun | None:
    """Predict the labelled images: the baseline's singles (under ``BASELINE_SINGLES``), each variant at its fastest N.

    Predictions are kept with the artifact, by machine, so they are computed once. None where no set has labels.
    """
    prepared = next((p for p in stages.sets if p.labelled is not None), None)
    if prepared is None or prepared.labelled is None:
        return None
    labelled, name = prepared.labelled(), prepared.record.name
    for skipped in labelled.skipped:
        stages.warn("skipped-images", f"{name}, labelled images: {skipped['file']}: {skipped['why']}")
    found: dict[str, Predictions] = {}
    turns = [(baseline(stages.config), 1, BASELINE_SINGLES)] + [(spec, n, spec) for spec, n in fastest.items()]
    height = labelled.images.side
    stages.progress.plan(sum(cost(find_variant(variant), len(labelled.images), height) for variant, _, _ in turns))
    tasks: dict[Task, _Turn] = {}
    for variant, batch_size, key in turns:
        spec = find_variant(variant)
        artifact = stages.artifacts.get((variant, name))
        if artifact is None or variant in stages.failures:
            continue
        if stages.emulated(spec):
            why = f"{spec.precision} arithmetic is emulated here: {len(labelled.images)} images would take too long"
            stages.skip(variant, name, "accuracy", why)
            continue
        turn = _Turn(spec, key, batch_size, _file(stages, spec, artifact, labelled.images, singles=key != variant))
        if (known := _known(turn.kept)) is None:
            tasks[_task(stages, turn, artifact, labelled.images)] = turn
        else:
            found[key] = known
            stages.progress.step(f"accuracy of {variant}: kept", cost(spec, len(labelled.images), height))
    for task, result in run_tasks(stages.engine, list(tasks), lambda one: False):
        turn = tasks[task]
        try:
            found[turn.key] = Predictions(tuple(result()), turn.batch_size)
        except WorkerError as error:
            stages.skip(turn.spec.name, name, "accuracy", error.reason, failed=True)
            continue
        stored = {"classes": found[turn.key].classes, "batch_size": turn.batch_size, "variant": turn.spec.name}
        write_json(turn.kept, stored)
    return LabelledRun(name, labelled.images, found)


@dataclass(frozen=True)
class _Turn:
    """One variant through the labelled images at one N. ``kept``: where its predictions are kept."""

    spec: VariantSpec
    key: str
    batch_size: int
    kept: Path


def _file(stages: Stages, spec: VariantSpec, artifact: Artifact, images: Images, *, singles: bool) -> Path:
    parts = [artifact.key, images.sha256, machine_key(), str(toolchain()), "singles" if singles else "batched"]
    if stages.outcome != CLASSES:
        parts.append(str(stages.outcome.to_json()))
    base = stages.base_of(spec)
    if base.isa != NATIVE or base.memory_format != "contiguous":
        parts += [base.isa, base.memory_format]
    if base.cuda:
        parts += [str(dict(stages.device)), str(base.cuda)]
    return stages.cache / "accuracy" / f"{key_of({'parts': parts})[:32]}.json"


def _known(kept: Path) -> Predictions | None:
    """What is kept; None where it was not computed yet, or is damaged."""
    try:
        stored = read_json(kept)
        return Predictions(tuple(int(c) for c in stored["classes"]), int(stored["batch_size"]))
    except (StoreError, KeyError, TypeError, ValueError):
        return None


def _task(stages: Stages, turn: _Turn, artifact: Artifact, images: Images) -> Task:
    base = stages.base_of(turn.spec)
    label, per_image = f"accuracy of {turn.spec.name}", cost(turn.spec, 1, images.side)
    return Task(
        environment=base.environment,
        function="isobatch.pipeline.study.in_worker:predict",
        payload=lambda: {
            "variant": turn.spec.name,
            "settings": base.runner,
            "artifact": artifact_json(artifact),
            "images": images.to_json(),
            "batch_size": turn.batch_size,
            "outcome": stages.outcome.to_json(),
        },
        threads=base.threads,
        alone=base.device != "cpu",
        reads={images.path: images.sha256, str(artifact.folder): artifact.key},
        writes=(),
        begun=lambda: stages.progress.step(label, 0.0),
        on_event=lambda event: stages.progress.step(label, event["images"] * per_image),
    )

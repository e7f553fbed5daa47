"""The stage of the labelled images: what each variant predicts, in steps, computed once per artifact and machine."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import key_of
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES
from isobatch.models.spec.words import Artifact, VariantSpec
from isobatch.pipeline.compare.accuracy import accuracy_drop, look_sizes, stratified_order
from isobatch.pipeline.decide.policy import DEFAULT_MAX_DROP_POINTS
from isobatch.pipeline.machine.environment import machine_key, toolchain
from isobatch.pipeline.machine.isa_caps import NATIVE
from isobatch.pipeline.prepare.artifacts import REFERENCE, baseline, reference_name
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.engines import Task, run_tasks
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.storage.files import StoreError, read_json, write_json
from isobatch.pipeline.study.crossing import Predicted, RowsAsked

BASELINE_SINGLES = "baseline singles"
CLEAR = 0.01
"""A margin of this share of the largest logit cannot be turned by float32's rounding, of 1e-3 of it at the most."""
_ORDER_SEED = 1
USUAL_LOOKS = 3  # after which most drops are decided, for the estimate of the time left


@dataclass(frozen=True)
class LabelledRun:
    """The labelled images of an input set, the order in which they were run, and what each variant predicts."""

    inputs: str
    images: Images
    order: NDArray[np.int64]
    looks: int
    predictions: dict[str, Predicted] = field(default_factory=dict)  # by variant, and BASELINE_SINGLES
    reference: tuple[int, ...] | None = None  # its answers, as far as any variant went; None where it could not be run

    def labels(self, count: int) -> NDArray[np.int64]:
        """The classes of the first ``count`` images of the order."""
        assert self.images.labels is not None
        return np.asarray(self.images.labels, dtype=np.int64)[self.order[:count]]

    def add(self, key: str, made: Predicted) -> None:
        """Predictions that follow those before."""
        before = self.predictions.get(key)
        self.predictions[key] = before.and_then(made) if before else made


def labelled_images(stages: Stages) -> tuple[str, Images] | None:
    """The input set that has labels, and its labelled images; None where none has, and of random weights."""
    if random_weights(stages):
        return None
    prepared = next((p for p in stages.sets if p.labelled is not None), None)
    if prepared is None or prepared.labelled is None:
        return None
    labelled, name = prepared.labelled(), prepared.record.name
    for skipped in labelled.skipped:
        stages.warn("skipped-images", f"{name}, labelled images: {skipped['file']}: {skipped['why']}")
    return name, labelled.images


def run_labelled(
    stages: Stages, name: str, images: Images, fastest: dict[str, int], limit: float | None, float_error: float | None
) -> LabelledRun:
    """Predict the labelled images, in steps: the baseline's singles, and each variant at its fastest N.

    After each look a variant whose drop is decided against ``limit`` (points; None: the default) goes no further.
    ``float_error``: how far the baseline's singles are from the reference's on other images, over the largest logit;
    where it is known to be small, the reference runs only the images whose answer rounding might turn. Predictions are
    kept with the artifact, by machine, so they are computed once.
    """
    ends = look_sizes(len(images))
    run = LabelledRun(name, images, stratified_order(images.labels or (), _ORDER_SEED), len(ends))
    turns = {BASELINE_SINGLES: (baseline(stages.config), 1)} | {variant: (variant, n) for variant, n in fastest.items()}
    for variant in fastest:
        if stages.emulated(spec := find_variant(variant)):
            why = f"{spec.precision} arithmetic is emulated here: {len(images)} images would take too long"
            stages.skip(variant, name, "accuracy", why)
            del turns[variant]
    stages.announce("accuracy", labelled_cost(stages, name, images))
    start = 0
    for end in ends:
        asked = [_turn(stages, run, key, *turns[key], range(start, end)) for key in turns]
        lost = _predict(stages, run, [turn for turn in asked if turn is not None])
        decided = {key for key in turns if key != BASELINE_SINGLES and _decided(run, key, limit)}
        for key in {*lost, *decided, *(key for key in turns if key not in run.predictions)}:
            turns.pop(key, None)
        start = end
        if not set(turns) - {BASELINE_SINGLES}:
            break
    return _with_reference(stages, run, float_error)


def labelled_cost(stages: Stages, name: str, images: Images) -> float:
    """Rough seconds of what no cache holds of the looks by which most variants are decided."""
    order, ends = stratified_order(images.labels or (), _ORDER_SEED), look_sizes(len(images))
    run = LabelledRun(name, images, order, len(ends))
    candidates = [spec.name for spec in stages.specs if spec.role == "candidate" and not stages.emulated(spec)]
    keys = {BASELINE_SINGLES: baseline(stages.config), **{candidate: candidate for candidate in candidates}}
    seconds = 0.0
    for start, end in itertools.pairwise((0, *ends[:USUAL_LOOKS])):
        turns = [_turn(stages, run, key, variant, 1, range(start, end)) for key, variant in keys.items()]
        seconds += sum(
            cost(turn.spec, end - start, images.side) for turn in turns if turn and _known(turn.kept) is None
        )
    return seconds


def random_weights(stages: Stages) -> bool:
    """Whether the weights are drawn ones, whose accuracy says nothing."""
    return stages.weights is not None and stages.weights.source == "random"


@dataclass(frozen=True)
class _Turn:
    """One variant through some of the labelled images at one N."""

    spec: VariantSpec
    artifact: Artifact
    key: str
    batch_size: int
    indices: tuple[int, ...]
    kept: Path  # where its predictions are kept


def _turn(
    stages: Stages, run: LabelledRun, key: str, variant: str, batch_size: int, places: Iterable[int]
) -> _Turn | None:
    """A turn through the images at these places of the order; None where the variant has no artifact."""
    spec, artifact = find_variant(variant), stages.artifacts.get((variant, run.inputs))
    if artifact is None or variant in stages.failures:
        return None
    indices = tuple(int(run.order[place]) for place in places)
    kept = _file(stages, spec, artifact, run.images, indices, singles=key != variant)
    return _Turn(spec, artifact, key, batch_size, indices, kept)


def _predict(stages: Stages, run: LabelledRun, turns: Sequence[_Turn]) -> list[str]:
    """Make the turns that are not kept; their predictions follow those of the run. Returns the keys that were lost."""
    lost, tasks = [], {}
    for turn in turns:
        if (known := _known(turn.kept)) is None:
            tasks[_task(stages, turn, run.images)] = turn
        else:
            run.add(turn.key, known)
            stages.progress.step(f"accuracy of {turn.spec.name}: kept", 0.0)
    for task, result in run_tasks(stages.engine, list(tasks), lambda task: False):
        turn = tasks[task]
        try:
            made = Predicted.of(result())
        except WorkerError as error:
            stages.skip(turn.spec.name, run.inputs, "accuracy", error.reason, failed=True)
            lost.append(turn.key)
            continue
        run.add(turn.key, made)
        write_json(turn.kept, made.to_json() | {"variant": turn.spec.name})
    return lost


def _decided(run: LabelledRun, key: str, limit: float | None) -> bool:
    """Whether the drop of a variant is decided by the images that it and the baseline have seen."""
    reference, variant = run.predictions.get(BASELINE_SINGLES), run.predictions.get(key)
    if reference is None or variant is None:
        return False
    count = min(len(reference.classes), len(variant.classes))
    drop = accuracy_drop(
        np.asarray(reference.classes[:count]),
        np.asarray(variant.classes[:count]),
        run.labels(count),
        DEFAULT_MAX_DROP_POINTS if limit is None else limit,
        run.looks,
    )
    return drop.decided != "undecided"


def _with_reference(stages: Stages, run: LabelledRun, float_error: float | None) -> LabelledRun:
    """The run with the reference's answers: the baseline's own where that is it, else fp64's."""
    plain = run.predictions.get(BASELINE_SINGLES)
    if reference_name(stages) == baseline(stages.config):
        return replace(run, reference=plain.classes if plain else None)
    seen = max((len(prediction.classes) for prediction in run.predictions.values()), default=0)
    trusted = plain is not None and float_error is not None and float_error <= CLEAR / 10
    clear = {i for i, margin in enumerate(plain.margins) if margin >= CLEAR} if plain and trusted else set[int]()
    places = [i for i in range(seen) if i not in clear]
    answers = dict(enumerate(plain.classes)) if plain else {}
    if places:
        turn = _turn(stages, run, "reference", REFERENCE, 1, places)
        if turn is None or _predict(stages, run, [turn]):
            return run
        answers |= dict(zip(places, run.predictions.pop("reference").classes, strict=True))
    return replace(run, reference=tuple(answers[i] for i in range(seen)))


def _file(
    stages: Stages, spec: VariantSpec, artifact: Artifact, images: Images, indices: Collection[int], *, singles: bool
) -> Path:
    parts = [artifact.key, images.seen_sha256, machine_key(), str(toolchain()), "singles" if singles else "batched"]
    parts.append(str(indices))
    if stages.outcome != CLASSES:
        parts.append(str(stages.outcome.to_json()))
    base = stages.base_of(spec)
    if base.isa != NATIVE or base.memory_format != "contiguous":
        parts += [base.isa, base.memory_format]
    if base.cuda:
        parts += [str(dict(stages.device)), str(base.cuda)]
    return stages.cache / "accuracy" / f"{key_of({'parts': parts})[:32]}.json"


def _known(kept: Path) -> Predicted | None:
    """What is kept; None where it was not computed yet, or is damaged."""
    try:
        known = Predicted.of(read_json(kept))
        numbers = all(type(value) is int for value in (*known.classes, known.batch_size, known.outputs))
        numbers &= all(isinstance(value, int | float) for value in known.margins)
        return known if numbers and len(known.margins) == len(known.classes) else None
    except (StoreError, TypeError):
        return None


def _task(stages: Stages, turn: _Turn, images: Images) -> Task:
    base = stages.base_of(turn.spec)
    label, per_image = f"accuracy of {turn.spec.name}", cost(turn.spec, 1, images.side)

    asked = RowsAsked(turn.spec.name, base.runner, turn.artifact, images, turn.indices, turn.batch_size, stages.outcome)
    return Task(
        environment=base.environment,
        function="isobatch.pipeline.study.in_worker:predict",
        payload=asked.to_json,
        threads=base.threads,
        alone=base.device != "cpu",
        reads={images.path: images.sha256, str(turn.artifact.folder): turn.artifact.key},
        writes=(),
        begun=lambda: stages.progress.step(label, 0.0),
        on_event=lambda event: stages.progress.step(label, Told.of(event).images * per_image),
    )

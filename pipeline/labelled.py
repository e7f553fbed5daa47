"""The stage of the labelled images: what each variant predicts, computed once per artifact and machine."""

from __future__ import annotations

from dataclasses import dataclass

from models.artifact_cache import key_of
from models.images import Images
from models.registry import find_variant
from models.spec import Artifact, VariantSpec
from pipeline.environment import cpu_flags, machine_key, toolchain
from pipeline.execute import WorkerError
from pipeline.isa import NATIVE
from pipeline.measure import artifact_json, cost
from pipeline.prepare import baseline
from pipeline.stages import Stages, emulated
from pipeline.store import StoreError, read_json, write_json

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
    flags = cpu_flags()
    turns = [(baseline(stages.config), 1, BASELINE_SINGLES)] + [(spec, n, spec) for spec, n in fastest.items()]
    height = labelled.images.shape[2]
    stages.progress.plan(sum(cost(find_variant(variant), len(labelled.images), height) for variant, _, _ in turns))
    for variant, batch_size, key in turns:
        spec = find_variant(variant)
        artifact = stages.artifacts.get((variant, name))
        if artifact is None or variant in stages.failures:
            continue
        if emulated(spec, flags):
            why = f"{spec.precision} arithmetic is emulated here: {len(labelled.images)} images would take too long"
            stages.skip(variant, name, "accuracy", why)
            continue
        try:
            found[key] = _predict(stages, spec, artifact, labelled.images, batch_size, singles=key != variant)
        except WorkerError as error:
            stages.skip(variant, name, "accuracy", error.reason)
    return LabelledRun(name, labelled.images, found)


def _predict(
    stages: Stages, spec: VariantSpec, artifact: Artifact, images: Images, batch_size: int, *, singles: bool
) -> Predictions:
    parts = [artifact.key, images.sha256, machine_key(), str(toolchain()), "singles" if singles else "batched"]
    if stages.base.isa != NATIVE or stages.base.memory_format != "contiguous":
        parts += [stages.base.isa, stages.base.memory_format]
    kept = stages.cache / "accuracy" / f"{key_of({'parts': parts})[:32]}.json"
    label = f"accuracy of {spec.name}"
    per_image = cost(spec, 1, images.shape[2])
    try:
        stored = read_json(kept)
        found = Predictions(tuple(int(c) for c in stored["classes"]), int(stored["batch_size"]))
        stages.progress.step(f"{label}: kept", len(images) * per_image)
        return found
    except (StoreError, KeyError, TypeError, ValueError):
        pass  # not computed yet, or damaged: computed anew
    payload = {
        "variant": spec.name,
        "settings": stages.base.runner,
        "artifact": artifact_json(artifact),
        "images": images.to_json(),
        "batch_size": batch_size,
    }
    classes = stages.workers.call(
        stages.base.environment,
        "pipeline.worker:predict",
        payload,
        lambda event: stages.progress.step(label, event["images"] * per_image),
    )
    write_json(kept, {"classes": classes, "batch_size": batch_size, "variant": spec.name})
    return Predictions(tuple(classes), batch_size)

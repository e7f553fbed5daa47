"""The first stages: weights, input sets, artifacts. What all variants share must be sound, or nothing is measured."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from models.artifact_cache import ArtifactCache, file_sha256
from models.registry import find_variant
from models.spec import Network, VariantSpec
from pipeline.config import Config
from pipeline.environment import machine_key, toolchain
from pipeline.errors import UsageError
from pipeline.execute import WorkerError
from pipeline.fitting import fitting
from pipeline.inputs import PreparedSet
from pipeline.records import Weights
from pipeline.stages import Stages
from pipeline.store import read_json, write_json
from pipeline.untrusted import prepare_apart
from pipeline.worker import read_artifact

REFERENCE = "fp64"  # the ruler of numeric error


def baseline(config: Config) -> str:
    """The variant whose singles accuracy drops are measured against: fp32, in the only runtime an ONNX file has."""
    return "ort-fp32" if config.onnx else "fp32"


def prepare_weights(stages: Stages) -> dict[str, Any]:
    """Resolve and verify the weights, or the user's ONNX file. Raises UsageError.

    A run that goes on keeps the weights that it began with, if their file is what it was.
    """
    config = stages.config
    payload = {
        "name": config.weights,
        "model": config.model,
        "onnx": config.onnx,
        "cache": str(stages.cache),
        "offline": config.offline,
    }
    kept = stages.run.folder / "inputs" / "weights.json"
    found = _stored(kept, payload) if stages.run.resumed else None
    if found is None:
        found = _resolve(stages, payload)
        if not config.onnx:  # an ONNX file may lie in several; it is checked each time
            write_json(kept, {"asked": payload, "found": found, "files": _digests(config.weights, found["path"])})
    stages.weights = Weights(**{name: found[name] for name in ("source", "model", "sha256", "note", "num_classes")})
    stages.network = Network(
        model=found["model"],
        weights_path=found["path"],
        weights_sha256=found["sha256"],
        num_classes=found["num_classes"] or 0,
        onnx_path=config.onnx and str(Path(config.onnx).resolve()),
        size=(found["view"]["size"], found["view"]["size"]),
    )
    stages.progress.line(f"weights: {found['source']}: {found['note']}")
    return found


def _resolve(stages: Stages, payload: dict[str, Any]) -> dict[str, Any]:
    call = "pipeline.worker:check_onnx" if payload["onnx"] else "pipeline.worker:resolve_weights"
    try:
        found: dict[str, Any] = stages.call(call, payload, "weights")
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        raise UsageError(error.code or ("onnx" if payload["onnx"] else "weights"), error.reason) from error
    return found


def _digests(*paths: str) -> dict[str, str]:
    """The SHA-256 of those that are files; a keyword is none."""
    return {path: file_sha256(Path(path)) for path in paths if Path(path).is_file()}


def _stored(file: Path, payload: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier start of this run resolved for the same request; None where any file of it is another now."""
    try:
        stored = read_json(file)
        found: dict[str, Any] = stored["found"]
        same = stored["asked"] == payload and stored["files"] == _digests(payload["name"], found["path"])
    except (OSError, KeyError, TypeError):
        return None
    return found if same and found["path"] in stored["files"] else None


def prepare_inputs(stages: Stages, weights: dict[str, Any]) -> None:
    """Store and hash the input sets. Raises UsageError."""
    config = stages.config
    request = {
        "asked": config.inputs,
        "folder": str(stages.run.folder / "inputs"),
        "weights": weights["source"],
        "images": config.images,
        "image_size": config.image_size or weights["view"]["size"],
        "view": weights["view"],
        "seed": config.seed,
        "quick": config.quick,
        "class_names": weights["class_names"],
        "num_classes": weights["num_classes"],
    }
    try:
        sets = (*_other_sizes(stages, request), *prepare_apart(stages, request))
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        what = "" if error.code else "the images could not be read: "
        raise UsageError(error.code or "inputs", f"{what}{error.reason}") from error
    stages.sets = fitting(stages, sets)
    for prepared in stages.sets:
        record = prepared.record
        if record.n < len(prepared.evaluation):
            stages.warn(
                "duplicate-images",
                f"{record.name}: {len(prepared.evaluation)} images, {record.n} distinct by content: n is {record.n}",
            )
        if record.skipped:
            stages.warn(
                "skipped-images", f"{record.name}: {len(record.skipped)} files were skipped; the report lists them"
            )


def _other_sizes(stages: Stages, request: dict[str, Any]) -> list[PreparedSet]:
    """The sets again at every other size of the study, named by it; a set whose size is its own is left out.

    They come first: the last set of a study is the one that cost and accuracy are measured on.
    """
    found = []
    for size in [size for size in stages.config.also_sizes if size != request["image_size"]]:
        other = request | {"image_size": size, "folder": str(Path(request["folder"]) / f"{size}px")}
        for one in prepare_apart(stages, other):
            if one.record.shape[1:] == [size, size] and one.record.name != "seed":
                name = f"{one.record.name}-{size}px"
                images = replace(one.evaluation, name=name)
                record = one.record.model_copy(update={"name": name})
                found.append(replace(one, record=record, evaluation=images, labelled=None))
            else:
                stages.warn("own-size", f"{one.record.name} has a size of its own: not run at {size} pixels")
    return found


def build_artifacts(stages: Stages) -> None:
    """Build, or find in the cache, the artifact of every variant and input set; and of the baseline and reference.

    A variant that cannot be built is recorded and left out; one that lacks calibration images on one set is left out
    there.
    """
    helpers = [find_variant(name) for name in (baseline(stages.config), REFERENCE)]
    helpers = [spec for spec in helpers if spec.name not in stages.config.variants]
    for spec in [*stages.specs, *helpers]:
        if stages.config.onnx and spec.runtime != "onnxruntime":
            reason = f"{spec.name} is made from a torch network, and an ONNX file was given"
            remedy = "use --model and --weights, or measure the ort- variants"
            if spec not in helpers:
                stages.fail(spec.name, WorkerError(reason, "VariantUnavailable", remedy))
            continue
        for prepared in stages.sets:
            if spec.calibrated and prepared.calibration is None:
                stages.skip(spec.name, prepared.record.name, "static calibration", prepared.calibration_note)
                continue
            try:
                _build(stages, spec, prepared)
            except WorkerError as error:
                if spec not in helpers:
                    stages.fail(spec.name, error)
                else:
                    stages.warn(
                        "no-ruler", f"{spec.name} could not be built, so nothing is measured against it: {error}"
                    )
                break
        else:
            missing = [p for p in stages.sets if p.calibration is None]
            if spec.calibrated and len(missing) == len(stages.sets):
                first = missing[0]
                kind = "VariantUnavailable"
                stages.fail(spec.name, WorkerError(first.calibration_note, kind, first.calibration_remedy))
    ArtifactCache(stages.cache / "artifacts").sweep()  # a worker that crashed could not tidy up


def _build(stages: Stages, spec: VariantSpec, prepared: PreparedSet) -> None:
    network = stages.network
    assert network is not None
    calibration = prepared.calibration if spec.calibrated else None
    name = prepared.record.name
    fields = {
        "variant": spec.name,
        "recipe": dict(spec.recipe),
        "model": network.model,
        "weights": network.weights_sha256,
        "calibration": calibration and calibration.sha256,
        "toolchain": toolchain(),
        "machine": machine_key(),
    }
    known = ArtifactCache(stages.cache / "artifacts")
    if not spec.calibrated:  # one artifact serves every set
        for (variant, _), artifact in stages.artifacts.items():
            if variant == spec.name:
                stages.artifacts[spec.name, name] = artifact
                return
    if found := known.find(fields):
        stages.artifacts[spec.name, name] = found
        return
    stages.progress.step(f"build {spec.name}", 0.0)
    payload = {
        "variant": spec.name,
        "fields": fields,
        "network": asdict(network),
        "calibration": calibration and calibration.to_json(),
        "cache": str(known.root),
    }
    built = stages.call("pipeline.worker:build", payload, spec.name)
    stages.artifacts[spec.name, name] = read_artifact(built)

"""The first stages: weights, input sets, artifacts. What all variants share must be sound, or nothing is measured."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant, versions
from isobatch.models.spec.artifact_cache import ArtifactCache
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, Network, VariantSpec
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import machine_key, toolchain
from isobatch.pipeline.prepare.crossing import BuildAsked
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError

REFERENCE = "fp64"  # what numeric error is measured against


NO_EXPORT = "ExportError"  # of ``isobatch.models.ort.export``, which loads its runtime


def baseline(config: Config) -> str:
    """The variant whose singles accuracy drops are measured against: fp32, in the only runtime an ONNX file has."""
    return "ort-fp32" if config.onnx else "fp32"


def reference_name(stages: Stages) -> str:
    """The variant whose singles numeric error and agreement are measured by: fp64; the baseline of an ONNX file, as it
    is given, and of a network that does not run in float64.
    """
    return baseline(stages.config) if stages.config.onnx or stages.without_fp64 else REFERENCE


def build_artifacts(
    stages: Stages,
    in_order: Callable[[list[VariantSpec]], Sequence[VariantSpec]] = list,
    before_building: Callable[[VariantSpec], None] = lambda spec: None,
) -> None:
    """Build, or find in the cache, the artifact of every variant and input set; and of the baseline and reference.

    A variant that cannot be built is recorded and left out; one that lacks calibration images on one set is left out
    there. ``in_order``: the variants as they are to be built. ``before_building``: may raise WorkerError.
    """
    helpers = [find_variant(name) for name in (baseline(stages.config), REFERENCE)]
    helpers = [spec for spec in helpers if spec.name not in stages.config.variants]
    for spec in in_order([*stages.specs, *helpers]):
        if stages.config.onnx and spec.runtime == "torch":
            reason = f"{spec.name} is made from a torch network, and an ONNX file was given"
            remedy = "use --model and --weights, or measure the ort- and ov- variants"
            if spec not in helpers:
                stages.fail(spec.name, WorkerError(reason, "VariantUnavailable", remedy))
            continue
        for prepared in stages.sets:
            if spec.calibrated and prepared.calibration is None:
                stages.skip(spec.name, prepared.record.name, "static calibration", prepared.calibration_note)
                continue
            try:
                _build(stages, spec, prepared, before_building)
            except WorkerError as error:
                stages.fail(spec.name, error)
                if spec in helpers and spec.name != REFERENCE:  # what becomes of the reference is told with its singles
                    what = f"{spec.name} could not be built, so nothing is measured against it: {error}"
                    stages.warn("no-reference", what)
                break
        else:
            missing = [p for p in stages.sets if p.calibration is None]
            if spec.calibrated and len(missing) == len(stages.sets):
                first = missing[0]
                kind = "VariantUnavailable"
                stages.fail(spec.name, WorkerError(first.calibration_note, kind, first.calibration_remedy))
    ArtifactCache(stages.cache / "artifacts").sweep()  # a worker that crashed could not tidy up
    if stages.network is not None and stages.network.onnx_path:
        Path(stages.network.onnx_path).unlink(missing_ok=True)  # the checked copy: all that is built of it is built


def artifact_fields(spec: VariantSpec, network: Network, calibration: Images | None) -> dict[str, Any]:
    """All that decides a variant's artifact: what it is kept under."""
    exported = spec.runtime != "torch" and network.onnx_path is None
    return {
        "variant": spec.name,
        "recipe": dict(spec.recipe),
        "model": network.model,
        "weights": network.weights_sha256,
        "size": network.size if exported else None,  # its graph may be bound to it
        "calibration": calibration and calibration.seen_sha256,
        "toolchain": toolchain() | versions(spec),
        "machine": machine_key(),
    }


def _build(
    stages: Stages, spec: VariantSpec, prepared: PreparedSet, before_building: Callable[[VariantSpec], None]
) -> None:
    network = stages.network
    assert network is not None
    calibration = prepared.calibration if spec.calibrated else None
    name = prepared.record.name
    fields = artifact_fields(spec, network, calibration)
    known = ArtifactCache(stages.cache / "artifacts")
    if not spec.calibrated:  # one artifact serves every set
        for (variant, _), artifact in stages.artifacts.items():
            if variant == spec.name:
                stages.artifacts[spec.name, name] = artifact
                return
    if built := known.find(fields):
        stages.artifacts[spec.name, name] = built
        return
    if stages.no_export is not None and spec.runtime != "torch":
        raise stages.no_export  # it was tried for another variant of this network: it takes minutes, and fails again
    before_building(spec)
    stages.progress.step(f"build {spec.name}", 0.0)
    asked = BuildAsked(spec.name, fields, network, calibration, str(known.root))
    try:
        answer = stages.call("isobatch.pipeline.prepare.in_worker:build", asked.to_json(), spec.name)
    except WorkerError as error:
        exported = any(find_variant(variant).runtime != "torch" for variant, _ in stages.artifacts)
        float_graph = spec.runtime != "torch" and spec.precision != "int8"  # of which exporting is nearly all the work
        died = error.kind in ("timeout", "crash") and network.onnx_path is None and not exported
        if error.kind == NO_EXPORT or (died and float_graph):
            stages.no_export = error  # a worker that hung or died before any graph was there, may have exported
        raise
    stages.artifacts[spec.name, name] = Artifact.of(answer)

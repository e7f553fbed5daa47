"""What a study keeps of its artifacts, so that ``deploy`` ships the very files that were measured, or says why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import ArtifactCache, file_sha256
from isobatch.models.spec.images import Images, View
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import Artifact, Network, RunnerSettings
from isobatch.pipeline.machine.environment import machine_key, toolchain, worker_settings
from isobatch.pipeline.prepare.crossing import BuildAsked, NetworkAsked, NetworkFound
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.errors import UsageError, WorkerError
from isobatch.pipeline.storage.files import StoreError, read_json, write_json
from isobatch.pipeline.workers.pool import Workers
from isobatch.pipeline.workers.wire import Crossing

KEPT_FILE = "artifacts.json"
_BUILD = "isobatch.pipeline.prepare.in_worker:build"
_CHECK = "isobatch.pipeline.prepare.in_worker:check_onnx"


@dataclass(frozen=True)
class Setting:
    """What a worker was started and opened its runner with."""

    runner: RunnerSettings
    environment: Mapping[str, str]
    isa: str


@dataclass(frozen=True)
class Kept(Crossing):
    """One variant's artifact on one input set, as the study had it.

    ``build``: what ``prepare.in_worker:build`` was asked. ``digests``: SHA-256 of its files by name. ``images``: those
    of the set; ``view``: how pictures became images.
    """

    variant: str
    inputs: str
    artifact: Artifact
    build: BuildAsked
    digests: Mapping[str, str]
    setting: Setting
    images: Images
    view: dict[str, Any]
    onnx: str | None = None  # the user's file that it was made from
    outcome: str = "classes"
    batch_axes: dict[str, int] = field(default_factory=dict)  # of that file, where the batch is not the first axis


def keep_artifacts(stages: Stages, built: Mapping[tuple[str, str], BuildAsked], view: View) -> None:
    """Write which artifacts the study runs. ``built``: what was asked for each (variant, input set)."""
    cache = ArtifactCache(stages.cache / "artifacts")
    images = {prepared.record.name: prepared.evaluation for prepared in stages.sets}
    kept = [
        Kept(
            variant=variant,
            inputs=inputs,
            artifact=artifact,
            build=built[variant, inputs],
            digests=cache.digests(artifact),
            setting=setting_of(stages, variant),
            images=images[inputs],
            view=to_plain(view),
            onnx=str(Path(stages.config.onnx).resolve()) if stages.config.onnx else None,
            outcome=stages.outcome.kind,
            batch_axes=dict(stages.config.batch_axes),
        )
        for (variant, inputs), artifact in stages.artifacts.items()
        if (variant, inputs) in built and inputs in images
    ]
    write_json(stages.run.folder / KEPT_FILE, {"artifacts": [entry.to_json() for entry in kept]})


def setting_of(stages: Stages, variant: str) -> Setting:
    """What the variant was measured under, where a cap of the study does not act on its runtime too."""
    point = stages.base_of(find_variant(variant))
    return Setting(point.runner, point.environment, point.isa)


def kept_artifact(run: Path, variant: str, inputs: str) -> Kept:
    """What the study in this folder kept of a variant on an input set. Raises UsageError where there is nothing."""
    file = run / KEPT_FILE
    try:
        every = [Kept.of(entry) for entry in read_json(file)["artifacts"]]
    except (StoreError, TypeError, KeyError, ValueError, AttributeError) as error:
        text = f"{run} does not say which artifacts it measured: run the study again with this version ({error})"
        raise UsageError("artifact-gone", text) from error
    kept = next((entry for entry in every if (entry.variant, entry.inputs) == (variant, inputs)), None)
    if kept is None:
        raise UsageError("artifact-gone", f"{file} names no artifact of {variant} on {inputs}: run the study again")
    return kept


def measured_artifact(kept: Kept, cache: Path, scratch: Path, workers: Workers) -> tuple[Artifact, str]:
    """The artifact that was measured, and where it was found, in words. Every file is hashed.

    From the study's cache, or this one's; else built again, below ``scratch``, and refused (UsageError) where one byte
    is another.
    """
    artifact = kept.artifact
    for folder in (artifact.folder, ArtifactCache(cache / "artifacts").folder(artifact.key)):
        if _wrong(folder, kept.digests) is None:
            return Artifact(artifact.key, folder, artifact.manifest), "from the cache, unchanged"
    return _built_again(kept, scratch, workers), "built again, byte by byte as it was measured"


def _wrong(folder: Path, digests: Mapping[str, str]) -> str | None:
    """The first file that is not there or not as recorded; None where all are."""
    for name, digest in digests.items():
        try:
            if file_sha256(folder / name) != digest:
                return name
        except OSError:
            return name
    return None


def _built_again(kept: Kept, scratch: Path, workers: Workers) -> Artifact:
    gone = f"the artifact of {kept.variant} that was measured is no longer in the cache"
    now = {"toolchain": toolchain(), "machine": machine_key()}
    other = [
        f"{name} was {old!r}, here it is {now_has!r}"
        for part in ("toolchain", "machine")
        for name, old, now_has in _changes(kept.build.fields.get(part), now[part], part)
    ]
    if other:
        raise _gone(f"{gone}, and here it would be built otherwise: {other[0]}")
    used = kept.build.calibration
    if used and _wrong(Path(used.path).parent, {Path(used.path).name: used.sha256}):
        raise _gone(f"{gone}, and the images that it was calibrated on are gone too")
    environment = worker_settings(kept.setting.runner.threads)
    try:
        network = _checked_again(kept, environment, scratch, workers) if kept.onnx else kept.build.network
        asked = replace(kept.build, network=network, cache=str(scratch / "cache"))
        built = Artifact.of(workers.call(environment, _BUILD, asked.to_json()))
    except WorkerError as error:
        raise _gone(f"{gone}, and it cannot be built again: {error.reason}") from error
    if wrong := _wrong(built.folder, kept.digests):
        raise _gone(f"{gone}; built again, {wrong} has other bytes than were measured")
    return built


def _checked_again(kept: Kept, environment: Mapping[str, str], scratch: Path, workers: Workers) -> Network:
    """The network with a checked copy of the user's ONNX file, of the same bytes as the one that was measured."""
    (scratch / "inputs").mkdir()
    asked = NetworkAsked(onnx=kept.onnx, folder=str(scratch / "inputs"), batch_axes=kept.batch_axes)
    checked = NetworkFound.of(workers.call(environment, _CHECK, asked.to_json()))
    if checked.onnx_sha256 != kept.build.network.onnx_sha256:
        raise _gone(f"{Path(str(kept.onnx)).name} has other bytes than were measured")
    return replace(kept.build.network, onnx_path=checked.onnx_path)


def _changes(old: Any, new: Any, part: str) -> list[tuple[str, Any, Any]]:
    if not isinstance(old, dict):
        return [(f"the {part}", old, new)] if old != new else []
    return [(name, old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)]


def _gone(why: str) -> UsageError:
    return UsageError("artifact-gone", f"{why}. Run the study again")


def images_of(kept: Kept) -> Images:
    """The set's images. Raises UsageError where they are gone or changed."""
    images, path = kept.images, Path(kept.images.path)
    if not path.is_file() or file_sha256(path) != images.sha256:
        raise _gone(f"the images of {images.name} are gone, or changed: {path}")
    return images

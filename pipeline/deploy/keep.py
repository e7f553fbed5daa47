"""What a study keeps of its artifacts, so that ``deploy`` ships the very files that were measured, or says why not."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import ArtifactCache, file_sha256
from isobatch.models.spec.images import Images, View
from isobatch.models.spec.plain import to_plain
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.storage.files import StoreError, read_json, write_json

KEPT_FILE = "artifacts.json"
_FOLDER = "artifacts"


@dataclass(frozen=True)
class Setting:
    """What a worker was started and opened its runner with."""

    runner: RunnerSettings
    environment: Mapping[str, str]
    isa: str


@dataclass(frozen=True)
class Kept(Crossing):
    """One variant's artifact on one input set, as the study had it."""

    variant: str
    inputs: str
    artifact: Artifact
    digests: Mapping[str, str]  # SHA-256 of its files by name
    setting: Setting
    images: Images  # those of the set
    view: dict[str, Any]  # how pictures became images
    outcome: str = "classes"
    batch_axes: dict[str, int] = field(default_factory=dict)  # of inputs whose batch is not the first axis


def keep_artifacts(stages: Stages, view: View) -> None:
    """Write which artifacts the study runs, and link the files of those that may be shipped into the run's folder.

    Links take no space while the cache holds the files. To another file system none can be made: ``deploy`` then
    depends on the cache.
    """
    cache = ArtifactCache(stages.cache / "artifacts")
    images = {prepared.record.name: prepared.evaluation for prepared in stages.sets}
    kept = [
        Kept(
            variant=variant,
            inputs=inputs,
            artifact=artifact,
            digests=cache.digests(artifact),
            setting=setting_of(stages, variant),
            images=images[inputs],
            view=to_plain(view),
            outcome=stages.outcome.kind,
            batch_axes=dict(stages.config.batch_axes),
        )
        for (variant, inputs), artifact in stages.artifacts.items()
        if inputs in images
    ]
    write_json(stages.run.folder / KEPT_FILE, {"artifacts": [entry.to_json() for entry in kept]})
    folder = stages.run.folder / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of a run that is resumed
    shipped = [entry.artifact for entry in kept if find_variant(entry.variant).role == "candidate"]
    for key, place in {artifact.key: artifact.folder for artifact in shipped}.items():
        with contextlib.suppress(OSError):
            shutil.copytree(place, folder / key, copy_function=os.link)


def keep_only(run: Path, variant: str | None) -> None:
    """Of the linked artifacts keep this variant's, the study's choice: runs are copied and sent, and are to be small.

    ``deploy`` has the others from the cache.
    """
    kept = read_json(run / KEPT_FILE)["artifacts"]
    keys = {entry["artifact"]["key"] for entry in kept if entry["variant"] == variant}
    for folder in (run / _FOLDER).iterdir() if (run / _FOLDER).is_dir() else ():
        if folder.name not in keys:
            shutil.rmtree(folder, ignore_errors=True)


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


def measured_artifact(kept: Kept, run: Path, cache: Path) -> tuple[Artifact, str]:
    """The artifact that was measured, and where it was found, in words. Every file is hashed.

    In the run's folder, or the study's cache, or this one. Raises UsageError where it is nowhere as it was.
    """
    artifact = kept.artifact
    places = {
        run / _FOLDER / artifact.key: "kept with the run",
        artifact.folder: "from the cache",
        ArtifactCache(cache / "artifacts").folder(artifact.key): "from the cache",
    }
    for folder, where in places.items():
        if _intact(folder, kept.digests):
            return Artifact(artifact.key, folder, artifact.manifest), f"{where}, unchanged"
    raise _gone(f"the artifact of {kept.variant} that was measured is neither in {run} nor in the cache")


def _intact(folder: Path, digests: Mapping[str, str]) -> bool:
    """Whether every file is there, as recorded."""
    try:
        return all(file_sha256(folder / name) == digest for name, digest in digests.items())
    except OSError:
        return False


def _gone(why: str) -> UsageError:
    return UsageError("artifact-gone", f"{why}. Run the study again")


def images_of(kept: Kept) -> Images:
    """The set's images. Raises UsageError where they are gone or changed."""
    images, path = kept.images, Path(kept.images.path)
    if not path.is_file() or file_sha256(path) != images.sha256:
        raise _gone(f"the images of {images.name} are gone, or changed: {path}")
    return images

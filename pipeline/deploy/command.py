"""The ``deploy`` command: a study's choice, or a named variant, as a folder that serves without this project."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant
from isobatch.models.shared.scratch import Scratch
from isobatch.models.spec.change import UNCHANGED
from isobatch.models.spec.images import Images
from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.deploy.asked import DeployRequest, asked_for, main_set
from isobatch.pipeline.deploy.crossing import DeploymentWritten, WriteAsked
from isobatch.pipeline.deploy.facts import facts_of, fingerprint, largest_tested, recommended_batch
from isobatch.pipeline.deploy.folder import (
    deliver,
    filled,
    model_files,
    require_empty,
    serving,
    store_images,
    stored_files,
)
from isobatch.pipeline.deploy.keep import Kept, images_of, kept_artifact, measured_artifact
from isobatch.pipeline.deploy.record import INPUTS_FILE, Output, Serving, StoredInputs, VerificationRecord
from isobatch.pipeline.deploy.serve import Files, Served, ServeError, differing_sizes, run_served
from isobatch.pipeline.machine.environment import INHERITED, read_environment, worker_settings
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.study import Study
from isobatch.pipeline.records.wording import sizes
from isobatch.pipeline.storage.cache import in_use
from isobatch.pipeline.storage.places import cache_root

FEWEST_IMAGES = 4
_COMPARED = 256  # images of a set up to which all of its singles are run again
_ALL_IMAGES = "images-all.npy"
_SEED = 42069

Say = Callable[[str], None]


class NoDeployment(Exception):
    """What was written does not do what was measured; nothing was delivered."""


@dataclass(frozen=True)
class Deployed:
    """What was shipped, and where its artifact came from, in words."""

    record: VerificationRecord
    folder: Path
    origin: str
    notes: tuple[str, ...]  # what a user should know at once


def deploy(study: Study, run: Path, variant: str | None, folder: Path, timeout_s: float, say: Say) -> Deployed:
    """Ship a variant of a finished study, such as ``ort-int8`` or ``fp32+surgical``; None: its choice.

    Raises UsageError where it cannot be shipped, NoDeployment where the shipped files do not give the measured bytes,
    WorkerError where it cannot be opened here.
    """
    require_empty(folder)
    asked = asked_for(study, run, variant, timeout_s)
    inputs = asked.delivery.inputs if asked.delivery else main_set(asked.native)
    kept = kept_artifact(run, asked.native.name, inputs)
    images = images_of(kept)
    with ExitStack() as stack:
        scratch = stack.enter_context(Scratch()).path
        stack.enter_context(in_use(cache_root()))
        workers = stack.enter_context(Workers(timeout_s))
        say(f"looking for the artifact of {asked.native.name} that was measured")
        artifact, origin = measured_artifact(kept, run, cache_root())
        model = scratch / "model"
        model.mkdir()
        wanted = WriteAsked(
            variant=asked.native.name,
            artifact=artifact,
            settings=kept.setting.runner,
            images=images,
            change=asked.delivery.change if asked.delivery else UNCHANGED,
            folder=str(model),
        ).to_json()
        answer = workers.call(kept.setting.environment, "isobatch.pipeline.deploy.in_worker:write", wanted)
        written = DeploymentWritten.of(answer)
        _check_written(asked, kept, model, written)
        record, files, notes = _proved(asked, kept, images, model, written.serving, say)
        deliver(record, files, model, folder, facts_of(asked.shown, study))
    return Deployed(record, folder, origin, notes)


def _check_written(asked: DeployRequest, kept: Kept, model: Path, written: DeploymentWritten) -> None:
    """What is shipped unchanged has the hashes of the study; a rewritten graph that of the one that was verified."""
    if written.sha256:
        expected = asked.delivery.sha256 if asked.delivery else None
        if written.sha256 != expected:
            raise NoDeployment(f"the graph of {asked.name}, rewritten again, is not the one that was verified")
        return
    for file in stored_files(model_files(model)):
        if kept.digests.get(file.file, file.sha256) != file.sha256:
            raise NoDeployment(f"{file.file} is not the file that was measured")


def _proved(
    asked: DeployRequest, kept: Kept, images: Images, model: Path, written: Mapping[str, Any], say: Say
) -> tuple[VerificationRecord, Files, tuple[str, ...]]:
    """The record of the written files, run by a process without this project. Raises NoDeployment."""
    threads = kept.setting.runner.threads
    settings = {**written, "environment": _caps(kept)}
    if asked.delivery:
        threads = asked.delivery.serving.threads or threads
        settings["streams"] = asked.delivery.serving.streams
    largest = largest_tested(asked.native, kept.inputs, asked.shown.range)
    shown = serving(
        find_variant(asked.native.name).runtime,
        settings,
        threads,
        largest,
        recommended_batch(asked.study, asked.shown, largest),
        images,
        kept.view,
        outcome=kept.outcome,
        batch_axes=kept.batch_axes,
    )
    few, drawn = filled(images.read(0, min(len(images), max(largest, FEWEST_IMAGES))), largest, _SEED)
    stored = store_images(few, kept.inputs, model / INPUTS_FILE, drawn)
    files = Files(shown, model_files(model))
    invariant = asked.shown.verdict == "batch-invariant"

    def serve(path: Path, batch_sizes: range) -> dict[int, Served]:
        try:
            return run_served(files, path, threads, batch_sizes, turn=invariant, timeout_s=asked.timeout_s)
        except ServeError as error:
            raise NoDeployment(f"the files of {asked.name} do not serve: {error}") from error

    say(f"running the shipped files at {sizes(range(1, largest + 1))}, in a process without this project")
    served = serve(model / stored.file, range(1, largest + 1))
    _compare(asked, kept, images, model, stored, served, serve)
    notes = []
    if invariant and (differing := differing_sizes(served)):
        largest = min(differing) - 1
        notes.append(f"it is batch-invariant up to N = {largest} only: the loader splits larger calls")
        if largest < 2:
            raise NoDeployment(f"{asked.name} is not batch-invariant in a fresh process: it differs at N = 2")
        shown = shown.model_copy(update={"largest_batch": largest, "batch_size": min(shown.batch_size, largest)})
        files = replace(files, serving=shown)
        served = {n: answer for n, answer in served.items() if n <= largest}
    return _record(asked, shown, files, stored, served, invariant), files, tuple(notes)


def _compare(
    asked: DeployRequest,
    kept: Kept,
    images: Images,
    model: Path,
    stored: StoredInputs,
    served: dict[int, Served],
    serve: Callable[[Path, range], dict[int, Served]],
) -> None:
    """Raise NoDeployment unless single images give the very bytes that the study measured, where it kept their sum."""
    expected = fingerprint(asked.native, kept)
    if expected is None or (asked.repair and not asked.repair.singles_as_native) or len(images) > _COMPARED:
        return
    singles = served[1].plain
    if stored.drawn or stored.n != len(images):
        every = store_images(images.read(0, len(images)), kept.inputs, model / _ALL_IMAGES)
        singles = serve(model / every.file, range(1, 2))[1].plain
    if singles != expected:
        raise NoDeployment(
            f"the shipped files give other bytes than the study measured for single images of {kept.inputs}: "
            "another machine, or other libraries than it ran with"
        )


def _caps(kept: Kept) -> dict[str, str]:
    """The caps on instruction sets that it was measured under."""
    environment = kept.setting.environment
    names = {name: environment.get(name, os.environ.get(name)) for name in INHERITED if "PRELOAD" not in name}
    return {name: value for name, value in names.items() if value}


def _record(
    asked: DeployRequest, shown: Serving, files: Files, stored: StoredInputs, served: dict[int, Served], invariant: bool
) -> VerificationRecord:
    threads = shown.threads
    return VerificationRecord(
        tool_version=VERSION,
        created_utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        variant=asked.name,
        model=asked.study.weights.model,
        weights_sha256=asked.study.weights.sha256,
        run=asked.study.run_id,
        files=stored_files(files.model),
        serving=shown,
        inputs=[stored],
        batch_invariant=invariant,
        outputs=[Output(inputs=stored.name, threads=threads, batch_size=n, sha256=a.plain) for n, a in served.items()],
        n_comparisons=sum(len(answer.sums) for answer in served.values()) - 1,
        repair=asked.repair,
        environment=read_environment(threads, {}, worker_settings(threads)),
    )

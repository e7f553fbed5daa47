"""What a repair hands over: the folder that ``deploy`` writes too, and the record of fresh processes that ran it."""

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.deploy.folder import deliver, model_files, serving, store_images, stored_files
from isobatch.pipeline.deploy.record import Output, Serving, VerificationRecord
from isobatch.pipeline.deploy.serve import Files, Served, ServeError, differing_sizes, run_served
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.machine.environment import read_environment, worker_settings
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.crossing import UNREPAIRED, Attempt, RepairMade

MODEL, NATIVE = "model", "native"
"""Folders below the scratch folder: the repaired files, and beside them the native ones, which are not kept."""


class NoRepair(Exception):
    """No rung holds over the scope, or none that holds could be written."""


@dataclass(frozen=True)
class RepairFound:
    """What ``pipeline.repair.in_worker:repair`` answered for a variant on these sets, and how pictures are read."""

    spec: VariantSpec
    sets: Sequence[PreparedSet]
    answer: RepairMade
    repairs: Sequence[Repair]
    view: Mapping[str, Any]

    @property
    def chosen(self) -> Attempt:
        """The candidate that was written."""
        assert self.answer.chosen is not None
        return self.answer.tried[self.answer.chosen]


def prove_and_deliver(stages: Stages, tried: RepairFound, scratch: Path, folder: Path) -> VerificationRecord:
    """The record of the written files, run by processes without this project, and everything in ``folder``.

    Raises NoRepair where it does not hold there.
    """
    settings = dict(tried.answer.serving)
    threads = [settings.pop("threads")] if "threads" in settings else list(stages.config.threads)
    files = Files(_serving(stages, tried, settings, max(threads)), model_files(scratch / MODEL))
    every = [prepared.evaluation for prepared in tried.sets]
    inputs = [
        store_images(images.read(0, len(images)), images.name, scratch / _file_name(images.name, number))
        for number, images in enumerate(every, 1)
    ]
    paths = {stored.name: scratch / stored.file for stored in inputs}
    outputs, runs = [], 0
    for stored, images in zip(inputs, every, strict=True):
        for count in threads:
            served = _served(stages, files, paths[stored.name], images, count)
            outputs += [
                Output(inputs=stored.name, threads=count, batch_size=n, sha256=row.plain) for n, row in served.items()
            ]
            runs += sum(len(row.sums) for row in served.values()) - 1
    repair = next(rung_result for rung_result in tried.repairs if rung_result.name == tried.chosen.name)
    if tried.answer.native is not None:
        native = Files(_serving(stages, tried, tried.answer.native, max(threads)), model_files(scratch / NATIVE))
        first = tried.sets[0].evaluation
        ratio = _memory_ratio(stages, files, native, paths[first.name], len(first), max(threads))
        repair = repair.model_copy(update={"memory_ratio": ratio})
    assert stages.weights is not None
    record = VerificationRecord(
        tool_version=VERSION,
        created_utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        variant=tried.spec.name if repair.name == UNREPAIRED else f"{tried.spec.name}+{repair.name}",
        model=stages.weights.model,
        weights_sha256=stages.weights.sha256,
        files=stored_files(files.model),
        serving=files.serving,
        inputs=inputs,
        batch_invariant=True,
        outputs=outputs,
        n_comparisons=runs + sum(result.n_comparisons for result in tried.chosen.verified),
        repair=repair,
        environment=read_environment(stages.threads, {}, worker_settings(stages.threads)),
    )
    facts = [f"What was done: {repair.note.rstrip('.')}.", f"Verified before it was written, too: {repair.scope}."]
    deliver(record, files, scratch, folder, facts)
    return record


def _serving(stages: Stages, tried: RepairFound, settings: Mapping[str, Any], threads: int) -> Serving:
    most = max(len(prepared.evaluation) for prepared in tried.sets)
    largest = max((1, *(n for n in stages.config.batch_sizes if n <= most)))
    return serving(
        tried.spec.runtime,
        settings,
        threads,
        largest,
        max(tried.chosen.ratios, default=1),  # of most images a second, beside the native network's own
        tried.sets[0].evaluation,
        tried.view,
        outcome=stages.outcome.kind,
        batch_axes=dict(stages.config.batch_axes),
    )


def _file_name(name: str, number: int) -> str:
    """The file of a set's images: the set's name as far as a file's name should go; ``number`` tells sets apart."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_only)[:50]  # of what a record takes (StoredInputs)
    return f"images-{plain}.npy" if plain == name else f"images-{number}-{plain}.npy"


def _served(stages: Stages, files: Files, file: Path, images: Images, threads: int) -> dict[int, Served]:
    """The sums of all outputs, from a process without this project. Raises NoRepair where they are not one and the
    same.
    """
    within = [n for n in stages.config.batch_sizes if n <= len(images)]
    label = f"{next(iter(files.model))} in a fresh process: {images.name}, {counted(threads, 'thread')}"
    stages.progress.step(label, 0.0)
    try:
        served = run_served(files, file, threads, within, timeout_s=stages.config.timeout_s)
    except ServeError as error:
        raise NoRepair(f"it holds here, but the files that were written do not serve: {error}") from error
    if differing := differing_sizes(served):
        where = f"N = {', '.join(map(str, differing))}, {images.name}, {counted(threads, 'thread')}"
        raise NoRepair(f"it holds here, but not in a fresh process, at {where}")
    return served


def _memory_ratio(stages: Stages, files: Files, native: Files, images: Path, count: int, threads: int) -> float | None:
    """Peak memory of a fresh process that serves the repaired files over one that serves the native ones, at the
    largest N that the scope and the set have. None where one of them did not run.
    """
    largest = [max(n for n in (1, *stages.config.batch_sizes) if n <= count)]
    stages.progress.step("memory, beside the native network", 0.0)
    try:
        peaks = [run_served(served_files, images, threads, largest)[largest[0]] for served_files in (files, native)]
    except ServeError:
        return None
    return peaks[0].peak_bytes / peaks[1].peak_bytes

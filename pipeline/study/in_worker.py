"""What runs inside a worker: build an artifact, measure its passes, predict labels. Called by dotted name."""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.registry import load
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Clocked, Quantized, Runner
from isobatch.models.spec.words import OutOfMemory
from isobatch.pipeline.decide.mixing import IMAGES, control
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.outcomes import decided, outcome_columns, outcome_margin
from isobatch.pipeline.evidence.passes import call, run_passes
from isobatch.pipeline.evidence.stored import write_evidence
from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.machine.memory import peak_memory_bytes
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.wire import Emit, tell_images
from isobatch.pipeline.study.crossing import JobAsked, JobsAsked, Predicted, RowsAsked

_CLIP_BATCH = 4


def measure(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """Run ``JobsAsked`` in turn and write their evidence; for each why it had too little memory, or None.

    An artifact is opened once for all jobs in a row that run it. Raises RuntimeError where a library does not run with
    the ISA that was read back for this environment.
    """
    asked = JobsAsked.of(payload)
    most = max(job.images.values * planned.batch_size for job in asked.jobs for planned in job.passes)
    answers: list[str | None] = []
    for _, serves in itertools.groupby(asked.jobs, key=lambda job: job.artifact.key):
        waiting = list(serves)
        while waiting:  # what had too little memory leaves a runner of which nothing is known
            answers += _in_turn(asked, waiting, most, emit)
    return answers


def _in_turn(asked: JobsAsked, waiting: list[JobAsked], values: int, emit: Emit) -> list[str | None]:
    """The answers of the jobs that one runner ran, which are taken from ``waiting``: all, or up to one that failed."""
    answers: list[str | None] = []
    try:
        with open_runner(asked.variant, waiting[0].artifact, asked.settings, values) as runner:
            while waiting:
                evidence = _evidence(asked, waiting[0], runner, emit)
                write_evidence(Path(waiting[0].file), evidence)
                answers.append(None)
                waiting.pop(0)
    except (RuntimeError, OutOfMemory) as error:
        exhausted = error if isinstance(error, OutOfMemory) else out_of_memory(error)
        if not exhausted:
            raise
        answers.append(str(exhausted))
        waiting.pop(0)
    return answers


def _evidence(asked: JobsAsked, job: JobAsked, runner: Runner, emit: Emit) -> Evidence:
    with unaltered(job.artifact, job.images):
        return _measured(asked, job, runner, emit)


def _measured(asked: JobsAsked, job: JobAsked, runner: Runner, emit: Emit) -> Evidence:
    images, passes = job.images, job.passes
    ran = run_passes(runner, images, passes, tell_images(emit), timed=job.timed)
    device_memory = runner.device_memory() if isinstance(runner, Clocked) else {}
    peak = peak_memory_bytes()
    clips: dict[str, tuple[int, int]] | None = None
    if asked.clips and isinstance(runner, Quantized):
        first, stop = passes[0].start, passes[0].stop
        clips = clip_counts(runner, images, first, min(stop, first + asked.clips))
    _check_isa(asked.isa)
    return Evidence(
        variant=asked.variant,
        inputs=job.inputs,
        round=asked.round,
        passes=passes,
        rows=ran.rows.__getitem__,
        call_s=ran.call_s,
        warm_up_s=ran.warm_up_s,
        effective=asdict(runner.effective()),
        clips=clips,
        peak_memory_bytes=peak,
        readback=load("isobatch.models.machine.probe:read")(),
        machine=machine(device=asked.device),
        whole=job.whole,
        device_memory=device_memory or None,
        outcome=asked.outcome,
    )


def _check_isa(expected: Mapping[str, str]) -> None:
    read_back = load("isobatch.models.machine.isa_probe:quick")() if expected else {}
    for library, isa in read_back.items():
        if isa != expected[library]:
            raise RuntimeError(f"{library} runs with {isa}, and {expected[library]} was asked for: nothing was kept")


def clip_counts(runner: Quantized, images: Images, first: int, last: int) -> dict[str, tuple[int, int]]:
    """Per quantized layer how many activations are at a clip limit, of how many, over the images of the range."""
    lost, seen = Counter[str](), Counter[str]()
    for start in range(first, last, _CLIP_BATCH):
        stop = min(start + _CLIP_BATCH, last)
        for layer, (clipped, size) in runner.clip_counts(images.read(start, stop)).items():
            lost[layer] += clipped
            seen[layer] += size
    return {layer: (lost[layer], seen[layer]) for layer in seen}


def predict(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """What the images of ``RowsAsked`` are ``Predicted`` to be."""
    asked = RowsAsked.of(payload)
    images, indices, size, outcome = asked.images, asked.indices, asked.batch_size, asked.outcome
    done = tell_images(emit)
    plain = replace(outcome, through="")  # beside an error in the outputs themselves
    classes: list[int] = []
    margins: list[float] = []
    outputs = 0
    with unaltered(asked.artifact, images), _opened(asked, size) as runner:
        for start in range(0, len(indices), size):
            chosen = indices[start : start + size]
            logits, _ = call(runner, np.concatenate([images.read(i, i + 1) for i in chosen]))
            classes += decided(logits, outcome).tolist()
            with np.errstate(invalid="ignore", divide="ignore"):
                margin = outcome_margin(logits, plain) / np.abs(logits.astype(np.float64)).max(axis=1)
            margins += np.where(np.isfinite(margin), margin, 0.0).tolist()
            outputs = 2 if outcome.kind == "binary" else outcome_columns(logits, outcome).shape[1]
            done(len(chosen))
    return Predicted(tuple(classes), size, tuple(margins), outputs).to_json()


def mixes(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The ``Control`` of ``isobatch.pipeline.decide.mixing`` on the first images of the set in ``RowsAsked``."""
    asked = RowsAsked.of(payload)
    images = asked.images
    with unaltered(asked.artifact, images), _opened(asked, IMAGES) as runner:
        return control(runner, images.read(0, min(IMAGES, len(images)))).to_json()


def _opened(asked: RowsAsked, batch_size: int) -> Runner:
    return open_runner(asked.variant, asked.artifact, asked.settings, batch_size * asked.images.values)

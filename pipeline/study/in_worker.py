"""What runs inside a worker: build an artifact, measure its passes, predict labels. Called by dotted name."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.registry import load
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.runner import Clocked, Quantized, Runner
from isobatch.models.spec.words import OutOfMemory, RunnerSettings
from isobatch.pipeline.decide.mixing import IMAGES, control
from isobatch.pipeline.evidence.evidence import Evidence, Pass
from isobatch.pipeline.evidence.outcomes import decided, outcome_columns, outcome_margin
from isobatch.pipeline.evidence.passes import call, run_passes
from isobatch.pipeline.evidence.stored import write_evidence
from isobatch.pipeline.machine.environment import machine
from isobatch.pipeline.machine.memory import peak_memory_bytes
from isobatch.pipeline.workers.opening import open_runner
from isobatch.pipeline.workers.wire import Emit, read_artifact

_CLIP_BATCH = 4


def _open(payload: dict[str, Any], values: int) -> Runner:
    settings = RunnerSettings.of(payload["settings"])
    return open_runner(payload["variant"], read_artifact(payload["artifact"]), settings, values)


def measure(payload: dict[str, Any], emit: Emit) -> list[str | None]:
    """Run jobs of one variant in turn and write their evidence; for each why it had too little memory, or None.

    An artifact is opened once for all jobs in a row that run it. Raises RuntimeError where a library does not run with
    the ISA that was read back for this environment.
    """
    jobs = [payload | one for one in payload["jobs"]]
    most = max(Images.from_json(job["images"]).values * pass_[1] for job in jobs for pass_ in job["passes"])
    answers: list[str | None] = []
    for _, serves in itertools.groupby(jobs, key=lambda job: str(job["artifact"]["key"])):
        waiting = list(serves)
        while waiting:  # what had too little memory leaves a runner of which nothing is known
            answers += _in_turn(waiting, most, emit)
    return answers


def _in_turn(waiting: list[dict[str, Any]], values: int, emit: Emit) -> list[str | None]:
    """The answers of the jobs that one runner ran, which are taken from ``waiting``: all, or up to one that failed."""
    answers: list[str | None] = []
    try:
        with _open(waiting[0], values) as runner:
            while waiting:
                evidence = _evidence(waiting[0], runner, emit)
                write_evidence(Path(waiting[0]["file"]), evidence)
                answers.append(None)
                waiting.pop(0)
    except (RuntimeError, OutOfMemory) as error:
        exhausted = error if isinstance(error, OutOfMemory) else out_of_memory(error)
        if not exhausted:
            raise
        answers.append(exhausted.reason)
        waiting.pop(0)
    return answers


def _evidence(payload: dict[str, Any], runner: Runner, emit: Emit) -> Evidence:
    images, artifact = Images.from_json(payload["images"]), read_artifact(payload["artifact"])
    with unaltered(artifact, images):
        return _measured(payload, runner, images, emit)


def _measured(payload: dict[str, Any], runner: Runner, images: Images, emit: Emit) -> Evidence:
    passes = tuple(Pass(*fields) for fields in payload["passes"])
    ran = run_passes(runner, images, passes, partial(_report, emit), timed=payload["timed"])
    device_memory = runner.device_memory() if isinstance(runner, Clocked) else {}
    peak = peak_memory_bytes()
    clips: dict[str, tuple[int, int]] | None = None
    if payload["clips"] and isinstance(runner, Quantized):
        first, stop = passes[0].start, passes[0].stop
        clips = clip_counts(runner, images, first, min(stop, first + payload["clips"]))
    _check_isa(payload["isa"])
    return Evidence(
        variant=payload["variant"],
        inputs=payload["inputs"],
        round=payload["round"],
        singles=ran.singles,
        passes=passes,
        rows=ran.rows,
        call_s=ran.call_s,
        warm_up_s=ran.warm_up_s,
        effective=asdict(runner.effective()),
        clip_shares=None if clips is None else {layer: lost / seen for layer, (lost, seen) in clips.items()},
        clip_seen=None if clips is None else {layer: seen for layer, (_, seen) in clips.items()},
        peak_memory_bytes=peak,
        readback=load("isobatch.models.machine.readback:read")(),
        machine=machine(device=payload["device"]),
        whole=payload["whole"],
        device_memory=device_memory or None,
        outcome=Outcome.of(payload.get("outcome")),
    )


def _check_isa(expected: dict[str, str]) -> None:
    found = load("isobatch.models.machine.isa_probe:quick")() if expected else {}
    for library, isa in found.items():
        if isa != expected[library]:
            raise RuntimeError(f"{library} runs with {isa}, and {expected[library]} was asked for: nothing was kept")


def _report(emit: Emit, count: int) -> None:
    emit({"images": count})


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
    """The predicted class of the images ``indices``, in that order, ``batch_size`` at a time; and how clear each is.

    ``classes``: the first of equal logits wins. ``margins``: the largest logit minus the second, over the row's largest
    |logit|; 0 where that is no number. ``outputs``: how many classes there are.
    """
    images, indices, size = Images.from_json(payload["images"]), payload["indices"], payload["batch_size"]
    outcome = Outcome.of(payload.get("outcome"))
    plain = replace(outcome, through="")  # beside an error in the outputs themselves
    classes: list[int] = []
    margins: list[float] = []
    outputs = 0
    with unaltered(read_artifact(payload["artifact"]), images), _open(payload, size * images.values) as runner:
        for start in range(0, len(indices), size):
            chosen = indices[start : start + size]
            logits, _ = call(runner, np.concatenate([images.read(i, i + 1) for i in chosen]))
            classes += decided(logits, outcome).tolist()
            with np.errstate(invalid="ignore", divide="ignore"):
                margin = outcome_margin(logits, plain) / np.abs(logits.astype(np.float64)).max(axis=1)
            margins += np.where(np.isfinite(margin), margin, 0.0).tolist()
            outputs = 2 if outcome.kind == "binary" else outcome_columns(logits, outcome).shape[1]
            emit({"images": len(chosen)})
    return {"classes": classes, "margins": margins, "outputs": outputs}


def mixes(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """The control of ``isobatch.pipeline.decide.mixing`` on the first images of a set."""
    images = Images.from_json(payload["images"])
    with unaltered(read_artifact(payload["artifact"]), images), _open(payload, IMAGES * images.values) as runner:
        return asdict(control(runner, images.read(0, min(IMAGES, len(images)))))

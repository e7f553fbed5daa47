"""Reading the user's images, in a worker: a file that crashes or starves its decoder takes nothing else with it."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from isobatch.models.spec.images import Size, sides
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.inputs.arrays import ARRAYS
from isobatch.pipeline.inputs.prepare import SOURCES
from isobatch.pipeline.inputs.request import Labelled, LabelledAsked, SetsAsked, SetStored
from isobatch.pipeline.prepare.kept import keep_answer, kept_answer
from isobatch.pipeline.prepare.preprocessing import channels_of
from isobatch.pipeline.prepare.sizes import fitting
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.prepare.weights import NetworkChosen
from isobatch.pipeline.processes.pool import WorkerError
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import counted


def prepare_apart(stages: Stages, request: SetsAsked) -> tuple[PreparedSet, ...]:
    """``isobatch.pipeline.inputs.prepare`` in a worker.

    A run that goes on keeps the images that it began with: they are neither read nor chosen again. Raises WorkerError:
    with the code of the InputError where the images are refused, with none where reading failed.
    """
    file, asked = request.folder / "sets.json", request.to_json()
    every = kept_answer(file, asked, _sets) if stages.run.resumed else None
    if every is None:
        answer = stages.call("isobatch.pipeline.inputs.in_worker:read_sets", asked, "inputs")
        every = _sets(answer)
        parts = [images for stored in every for images in (stored.evaluation, stored.calibration) if images]
        keep_answer(file, asked, answer, {str(images.path): images.sha256 for images in parts})
    return tuple(_set(stages, request, stored) for stored in every)


def _sets(answer: list[dict[str, Any]]) -> list[SetStored]:
    return [SetStored.of(plain) for plain in answer]


def _set(stages: Stages, request: SetsAsked, stored: SetStored) -> PreparedSet:
    labelled = partial(_labelled, stages, request, stored.record.name) if stored.labelled else None
    return PreparedSet(**(vars(stored) | {"labelled": labelled}))


def _labelled(stages: Stages, request: SetsAsked, name: str) -> Labelled:
    """The labelled images, in a folder of their own: the sets are made again for them, and are not what they were where
    files were added to the user's folder since.
    """
    name_asked = name if request.asked == "auto" else request.asked  # the seed need not be drawn again
    folder = request.folder / "labelled"
    asked = LabelledAsked(replace(request, asked=name_asked, folder=folder), name).to_json()
    file = request.folder / "labelled.json"
    known = kept_answer(file, asked, Labelled.of) if stages.run.resumed else None
    if known is None:
        answer = stages.call("isobatch.pipeline.inputs.in_worker:read_labelled", asked, "inputs")
        known = Labelled.of(answer)
        keep_answer(file, asked, answer, {str(known.images.path): known.images.sha256})
    return known


def prepare_inputs(stages: Stages, chosen: NetworkChosen) -> None:
    """Store and hash the input sets. Raises UsageError."""
    config, network = stages.config, chosen.network
    request = SetsAsked(
        asked=config.inputs,
        folder=stages.run.folder / "inputs",
        weights=network.source,
        images=config.images,
        image_size=chosen.image_size,
        view=chosen.view,
        channels=channels_of(network),
        layout=config.preprocessing.layout,
        seed=config.seed,
        quick=config.quick,
        class_names=network.class_names or None,
        num_classes=network.num_classes,
        interface=network.interface,
        batch_axes=dict(config.batch_axes),
        class_order=config.class_order,
        classes_file=config.classes,
        labels_file=config.labels,
    )
    try:
        sets = (*_other_sizes(stages, request), *prepare_apart(stages, request))
    except WorkerError as error:
        if error.kind == "launcher":
            raise
        what = "" if error.code else "the images could not be read: "
        raise UsageError(error.code or "inputs", f"{what}{error.reason}") from error
    stages.sets = tuple(_judged(stages, image_set) for image_set in fitting(stages, sets))
    _check_batch_sizes(config, stages.sets)
    _say_assumed(stages)
    if config.inputs in ("auto", *SOURCES):
        for flag, value in (("--labels", config.labels), ("--class-order", config.class_order)):
            if value is not None:
                text = f"{flag} {value} is not used: it is of your own images, and --inputs is {config.inputs}"
                stages.warn("labels-unused", text)
    if config.inputs in SOURCES and os.path.exists(config.inputs):
        text = (
            f"--inputs {config.inputs} names images that Isobatch brings: what is here under that name was not read; "
        )
        stages.warn("inputs-not-read", f"{text}--inputs ./{config.inputs} reads it")
    for prepared in stages.sets:
        record = prepared.record
        for code, text in prepared.warnings:
            stages.warn(code, text)
        if len(prepared.evaluation) < 2:
            stages.warn(
                "one-image",
                f"{record.name}: {record.n_files} images, one distinct by content: nothing can share a batch with it, "
                "so there is no verdict on this set; give at least two",
            )
        if record.n < len(prepared.evaluation):
            stages.warn(
                "duplicate-images",
                f"{record.name}: {len(prepared.evaluation)} images, {record.n} distinct by content: n is {record.n}",
            )
        if record.skipped:
            noun = "image" if Path(record.source).suffix.lower() in ARRAYS else "file"
            left = counted(len(record.skipped), noun)
            stages.warn("skipped-images", f"{record.name}: {left} skipped; the report says which, and why")


def _check_batch_sizes(config: Config, sets: tuple[PreparedSet, ...]) -> None:
    """Raise UsageError where no set has the images for any N: every verdict would be open, whatever is measured.

    A set of one image is not refused: no N could be formed of it, and a warning says so.
    """
    largest = max(sets, key=lambda prepared: len(prepared.evaluation))
    count, smallest = len(largest.evaluation), min((n for n in config.batch_sizes if n > 1), default=0)
    if not 1 < count < smallest:
        return
    there = config.inputs in ("auto", *SOURCES) or largest.record.n_files >= smallest
    more = f"--images {smallest}" if there and (config.images or 0) < smallest else "more images"
    raise UsageError(
        "bad-request",
        f"no batch can be formed: the smallest of --batch-sizes is {smallest}, and the largest set of images "
        f"({largest.record.name}) has {count}: give {more}, or batch sizes of at most {count}",
    )


def _say_assumed(stages: Stages) -> None:
    """Warn where the user's own pictures are made into what nothing says that the network takes."""
    seen = stages.weights.preprocessing if stages.weights else None
    pixels = any(prepared.evaluation.dtype == "uint8" for prepared in stages.sets)
    if seen is not None and seen.assumed and pixels and stages.config.inputs not in ("auto", *SOURCES):
        raw = any(prepared.evaluation.fed.endswith("uint8") for prepared in stages.sets)
        flags = "--resize, --crop" if raw else "--mean, --std, --scale"
        stages.warn(
            "assumed-preprocessing",
            f"The preprocessing is {seen.source}: {seen.text}; say what the network takes with {flags}",
        )


def _judged(stages: Stages, prepared: PreparedSet) -> PreparedSet:
    """The set; without labels where the outcome is no class that they could be compared with."""
    if prepared.evaluation.labels is None or stages.outcome.kind in ("classes", "binary"):
        return prepared
    stages.warn(
        "labels-unused",
        f"{prepared.record.name}: its labels are not used: one class an image is no answer to compare with an outcome "
        f"of kind {stages.outcome.kind} (--outcome classes where it is one)",
    )
    record = prepared.record.model_copy(update={"labelled": False})
    return replace(prepared, record=record, evaluation=replace(prepared.evaluation, labels=None), labelled=None)


def of_other_size(name: str, config: Config) -> bool:
    """Whether the set of this name is one made again at another size of the study."""
    return name.endswith(tuple(f"-{_pixels(size)}" for size in config.also_sizes))


def _pixels(size: Size) -> str:
    return f"{size}px" if isinstance(size, int) else f"{size[0]}x{size[1]}px"


def _other_sizes(stages: Stages, request: SetsAsked) -> list[PreparedSet]:
    """The sets again at every other size of the study, named by it; a set whose size is its own is left out.

    They come first: the last set of a study is the one that cost and accuracy are measured on.
    """
    more_sets = []
    for size in [size for size in stages.config.also_sizes if size != request.image_size]:
        called = _pixels(size)
        other = replace(request, image_size=size, folder=request.folder / called)
        for prepared in prepare_apart(stages, other):
            if prepared.record.shape[1:] == list(sides(size)) and prepared.record.name != "seed":
                name = f"{prepared.record.name}-{called}"
                images = replace(prepared.evaluation, name=name)
                record = prepared.record.model_copy(update={"name": name})
                more_sets.append(replace(prepared, record=record, evaluation=images, labelled=None))
            else:
                stages.warn("own-size", f"{prepared.record.name} has a size of its own: not run at {called}")
    return more_sets

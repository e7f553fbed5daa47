"""What runs inside a worker: reading and drawing sets of images. Called by dotted name."""

import resource
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from isobatch.models.registry import load
from isobatch.pipeline.inputs import InputsRequest, prepare
from isobatch.pipeline.inputs.crossing import LabelledAsked, SetStored
from isobatch.pipeline.inputs.labels_file import read_classes
from isobatch.pipeline.inputs.request import SetsAsked
from isobatch.pipeline.machine.memory import limit_memory
from isobatch.pipeline.workers.wire import Emit


def read_sets(request: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """Store the sets of ``SetsAsked``: a ``SetStored`` each."""
    return [
        SetStored(
            prepared.record.model_dump(mode="json"),
            prepared.evaluation,
            prepared.calibration,
            prepared.calibration_note,
            prepared.calibration_remedy,
            prepared.labelled is not None,
            prepared.warnings,
        ).to_json()
        for prepared in prepare(_limited(SetsAsked.of(request)))
    ]


def read_labelled(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Store the images of ``LabelledAsked``: ``Labelled``. What else is made for that does not stay in the folder."""
    asked = LabelledAsked.of(payload)
    prepared = next(s for s in prepare(_limited(asked.request)) if s.record.name == asked.set)
    assert prepared.labelled is not None
    labelled = prepared.labelled()
    for file in set(asked.request.folder.iterdir()) - {Path(labelled.images.path)}:
        file.unlink()
    return labelled.to_json()


def _limited(asked: SetsAsked) -> InputsRequest:
    """The request, once this process may use no more memory than decoding needs."""
    limit_memory(resource.RLIMIT_DATA)  # an array of any size may be mapped
    if asked.classes_file:
        names = tuple(read_classes(Path(asked.classes_file), asked.num_classes))
        asked = replace(asked, class_names=names, classes_file=None)
    return InputsRequest(**vars(asked), draw=partial(_draw, channels=asked.channels))


def _draw(path: Path, seed: int, n: int, size: int, channels: int = 3) -> str:
    """``isobatch.models.pytorch.seed_images.draw``, which loads torch: only where something is to be drawn."""
    digest: str = load("isobatch.models.pytorch.seed_images:draw")(path, seed, n, size, channels)
    return digest

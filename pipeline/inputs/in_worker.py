"""What runs inside a worker: reading and drawing sets of images. Called by dotted name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from isobatch.pipeline.inputs import SetsAsked, prepare
from isobatch.pipeline.inputs.labels_file import read_classes
from isobatch.pipeline.inputs.request import LabelledAsked, SetStored
from isobatch.pipeline.machine.memory import limit_memory
from isobatch.pipeline.processes.wire import Emit


def read_sets(request: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """Store the sets of ``SetsAsked``: a ``SetStored`` each."""
    stored = []
    for prepared in prepare(_limited(SetsAsked.of(request))):
        stored.append(SetStored(**(vars(prepared) | {"labelled": prepared.labelled is not None})).to_json())
    return stored


def read_labelled(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Store the images of ``LabelledAsked``: ``Labelled``. What else is made for that does not stay in the folder."""
    asked = LabelledAsked.of(payload)
    prepared = next(s for s in prepare(_limited(asked.request)) if s.record.name == asked.set)
    assert prepared.labelled is not None
    labelled = prepared.labelled()
    for file in set(asked.request.folder.iterdir()) - {Path(labelled.images.path)}:
        file.unlink()
    return labelled.to_json()


def _limited(asked: SetsAsked) -> SetsAsked:
    """The request with the names of its classes, once this process may use no more memory than decoding needs."""
    limit_memory()
    if not asked.classes_file:
        return asked
    return replace(asked, class_names=read_classes(Path(asked.classes_file), asked.num_classes), classes_file=None)

"""What is asked of the worker that reads and stores sets of images, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobatch.models.spec.images import Images, Size, View
from isobatch.models.spec.interface import Input
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class SetsAsked(Crossing):
    """The fields of an ``InputsRequest`` without ``draw``. ``classes_file``: of the names of classes, read there."""

    asked: str
    folder: Path
    weights: str
    images: int | None
    image_size: Size
    view: View
    channels: int
    layout: str | None
    seed: int
    quick: bool
    class_names: tuple[str, ...] | None
    num_classes: int | None
    interface: tuple[Input, ...]
    batch_axes: Mapping[str, int]
    class_order: str | None
    classes_file: str | None
    labels_file: str | None


@dataclass(frozen=True)
class SetStored(Crossing):
    """One set on disk: see ``PreparedSet``. ``record``: of ``InputSet``; ``warnings``: code and text."""

    record: Mapping[str, Any]
    evaluation: Images
    calibration: Images | None
    calibration_note: str
    calibration_remedy: str
    has_labelled: bool
    warnings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LabelledAsked(Crossing):
    """The labelled images of one of the sets of a request, which is made again for that."""

    request: SetsAsked
    set: str


@dataclass(frozen=True)
class LabelledStored(Crossing):
    """See ``Labelled``."""

    images: Images
    skipped: tuple[dict[str, str], ...]

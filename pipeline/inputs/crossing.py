"""What is asked of the worker that reads and stores sets of images, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.pipeline.inputs.request import SetsAsked
from isobatch.pipeline.workers.wire import Crossing


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

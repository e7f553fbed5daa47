"""What is asked of the input stage, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isobatch.models.spec.images import IMAGENET, Images, Size, View
from isobatch.models.spec.interface import Input
from isobatch.models.spec.words import Remark
from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.records.study import InputSet

_LONGEST_NAME = 64  # a file's may have 255
CALIBRATION_IMAGES = 32
"""At most so many of a set's images calibrate."""


class InputError(ValueError):
    """The inputs cannot be had. The message is one line: what was asked, what exists, what to do next.

    ``code`` is stable: ``unknown-inputs`` ``unreadable`` ``no-images`` ``changed`` ``npy-format`` ``npy-dtype``
    ``npy-shape`` ``npy-not-finite`` ``no-pictures`` ``calibration-overlap`` ``labels-file`` ``classes-file``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class SetsAsked(Crossing):
    """Which images, how many, and for which weights."""

    asked: str  # auto | seed | digits | photos | a folder | a .npy file
    folder: Path  # where the prepared files go
    weights: str = "digits"  # digits | imagenet-v1 | imagenet-v2 | random | anything else: a file
    images: int | None = None  # None: 16, and 4 for the seed set
    image_size: Size = 224  # without a say over the seed set (400 by its recipe) and over a .npy file (its own)
    channels: int = 3  # of the network's images
    view: View = IMAGENET  # how pictures are resized and normalised; its own size is not asked
    layout: str | None = None  # of arrays: "nchw" or "nhwc"; None: as their shape says
    seed: int = 42069
    quick: bool = False  # auto: the seed set only
    class_names: tuple[str, ...] | None = None  # they turn folder names into labels
    num_classes: int | None = None  # it bounds an index
    class_order: str | None = None  # "text" or "number": labels by the folders' order, not by what they are called
    labels_file: str | None = None  # of labels beside the images
    classes_file: str | None = None  # of the names of classes, read in the worker
    interface: tuple[Input, ...] = ()  # what the network takes, where its file tells: else pictures
    batch_axes: Mapping[str, int] = field(default_factory=dict)  # of arrays whose batch is another axis

    @property
    def wanted(self) -> int:
        """How many images are measured, where there are that many."""
        return 16 if self.images is None else self.images


@dataclass(frozen=True)
class Labelled(Crossing):
    """A larger labelled set for accuracy, disjoint from the calibration part."""

    images: Images
    skipped: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class PreparedSet:
    """One set, ready to run."""

    record: InputSet
    evaluation: Images
    calibration: Images | None  # None where the images do not suffice
    calibration_note: str  # why not
    calibration_remedy: str = ""  # what would change that
    labelled: Callable[[], Labelled] | None = None  # prepares the labelled set when it is called
    warnings: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class SetStored(Crossing):
    """A ``PreparedSet`` on its way out of the worker: ``labelled`` as whether there are any."""

    record: InputSet
    evaluation: Images
    calibration: Images | None
    calibration_note: str
    calibration_remedy: str
    labelled: bool  # whether there are any
    warnings: tuple[Remark, ...]


@dataclass(frozen=True)
class LabelledAsked(Crossing):
    """The labelled images of one of the sets of a request, which is made again for that."""

    request: SetsAsked
    set: str


def described(
    name: str, source: str, evaluation: Images, calibration: Images | None, calibrated: str, note: str, **facts: Any
) -> PreparedSet:
    """A set with its record. ``calibrated``: what calibrates, in words; ``facts``: other fields of the record."""
    record = InputSet(
        name=name,
        source=source,
        n=evaluation.unique or 0,
        shape=list(evaluation.shape[1:]),
        sha256=evaluation.sha256,
        note=note,
        **{"labelled": False} | facts,
    )
    return PreparedSet(record, evaluation, calibration, calibrated)


def set_name(text: str) -> str:
    """What a set is called, after its file or folder: printable, and at most so long as records and columns take."""
    name = printable(text)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 23]}...{name[-20:]}"


def printable(text: object) -> str:
    """The text on one line: what a terminal or a strict UTF-8 file could not show becomes "?"."""
    return "".join(character if character.isprintable() else "?" for character in str(text))

"""Which of the user's own images are measured, and which calibrate: spread over all, distinct, disjoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from isobatch.pipeline.inputs.request import InputError
from isobatch.pipeline.inputs.storing import digest

LEAST_CALIBRATION = 2


class Unusable(Exception):
    """One image cannot be used; the text says why."""


@dataclass(frozen=True)
class Candidates:
    """The user's images by index: ``read(i)`` gives one as it is stored, or raises Unusable; ``name(i)`` names it."""

    count: int
    read: Callable[[int], NDArray[Any]]
    name: Callable[[int], str]

    def reread(self, chosen: dict[int, bytes]) -> Iterator[NDArray[Any]]:
        """The chosen images in order. Raises InputError when one is no longer what it was when it was chosen."""
        for index in sorted(chosen):
            try:
                row = self.read(index)
            except Unusable:
                row = None
            if row is None or digest(row) != chosen[index]:
                raise InputError(
                    "changed", f"{self.name(index)} changed while it was read: run again when it is at rest"
                )
            yield row


@dataclass(frozen=True)
class ImagesChosen:
    """Index and digest of the images of each part, and what was left out on the way."""

    evaluation: dict[int, bytes]
    calibration: dict[int, bytes]
    skipped: tuple[dict[str, str], ...]


def choose(candidates: Candidates, wanted: int, calibration_images: int) -> ImagesChosen:
    """At most ``wanted`` images to measure and ``calibration_images`` others to calibrate with, distinct by content.

    Visits the images spread over the whole list, so that a list sorted by class does not give one class; every third
    usable one calibrates, until either part is full. Fewer than two left for calibration are measured instead.
    """
    evaluation: dict[int, bytes] = {}
    calibration: dict[int, bytes] = {}
    skipped = []
    seen: dict[bytes, int] = {}
    for index in spread(candidates.count):
        if len(evaluation) == wanted and len(calibration) == calibration_images:
            break
        try:
            content = digest(candidates.read(index))
        except Unusable as error:
            skipped.append({"file": candidates.name(index), "why": str(error)})
            continue
        if content in seen:
            skipped.append({"file": candidates.name(index), "why": f"same picture as {candidates.name(seen[content])}"})
            continue
        seen[content] = index
        third = len(seen) % 3 == 0 or len(evaluation) == wanted
        part = calibration if third and len(calibration) < calibration_images else evaluation
        part[index] = content
    if len(calibration) < LEAST_CALIBRATION:
        evaluation = dict(list((evaluation | calibration).items())[:wanted])
        calibration = {}
    return ImagesChosen(evaluation, calibration, tuple(skipped))


def spread(count: int) -> Iterator[int]:
    """0 to ``count`` - 1 in bit-reversed order: every beginning of it lies evenly over the whole range."""
    bits = max(1, (count - 1).bit_length())
    for index in range(1 << bits):
        reversed_ = int(f"{index:0{bits}b}"[::-1], 2)
        if reversed_ < count:
            yield reversed_

"""The user's own images, from a folder or an array: chosen, stored, and cut into a measured and a calibration part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.pipeline.inputs.choose import LEAST_CALIBRATION, Candidates, Choice, Unusable, choose
from isobatch.pipeline.inputs.labels import Labels
from isobatch.pipeline.inputs.labels_file import labels_of_array
from isobatch.pipeline.inputs.request import (
    CALIBRATION_IMAGES,
    InputError,
    Labelled,
    PreparedSet,
    SetsAsked,
    described,
    printable,
    set_name,
)
from isobatch.pipeline.inputs.storing import Part, digest, part_name, require_disjoint, store_images

ENOUGH = 3 * LEAST_CALIBRATION
"""Distinct images from which on a third of them suffices to calibrate."""


_SUFFIXES = {"folder": "u8", "npy": "raw"}


@dataclass(frozen=True)
class Own:
    """What is known of the user's images before any is chosen."""

    kind: str  # "folder" or "npy"
    name: str
    source: str
    candidates: Candidates
    skipped: tuple[dict[str, str], ...] = ()


def own_array(
    request: SetsAsked,
    source: Path,
    count: int,
    read: Callable[[int], NDArray[Any]],
    beside: NDArray[Any] | None,
    remark: str,
) -> PreparedSet:
    """The set of an array's ``count`` images, each as ``read`` gives it. ``beside``: the labels that it holds."""
    labels = labels_of_array(request, count, beside, source.name)
    own = Own("npy", set_name(source.stem), printable(source), Candidates(count, read, lambda i: f"image {i}"))
    return store_own(own, request, choose_own(own, request), labels, remark)


def choose_own(own: Own, request: SetsAsked) -> Choice:
    """The images to measure and to calibrate with. Raises InputError when none is usable."""
    choice = choose(own.candidates, request.wanted, CALIBRATION_IMAGES)
    if not choice.evaluation:
        skipped = (*own.skipped, *choice.skipped)
        first = f", the first of {len(skipped)}: {skipped[0]['file']}: {skipped[0]['why']}" if skipped else ""
        raise InputError("no-images", f"no usable image in {own.source}{first}; give jpeg, png, webp or bmp files")
    return replace(choice, skipped=(*own.skipped, *choice.skipped))


def store_own(own: Own, request: SetsAsked, choice: Choice, labels: Labels | None, remark: str) -> PreparedSet:
    """Both parts on disk and their record. ``labels``: one per candidate; ``remark`` goes into the note."""

    def stored(part: Part, chosen: dict[int, bytes]) -> Images:
        path = request.folder / f"{own.kind}-{part}.{_SUFFIXES[own.kind]}"
        return store_images(part_name(own.name, part), path, own.candidates.reread(chosen), request.view)

    evaluation = stored("evaluation", choice.evaluation)
    if labels is not None:
        evaluation = replace(evaluation, labels=tuple(labels.classes[index] for index in sorted(choice.evaluation)))
    calibration = stored("calibration", choice.calibration) if choice.calibration else None
    if calibration is None:
        note = f"fewer than {ENOUGH} distinct images, too few to keep some for calibration"
        remedy = f"give at least {ENOUGH} distinct images, so that a third of them can calibrate"
    else:
        require_disjoint(evaluation, calibration)
        note, remedy = f"{len(calibration)} other images of the same source, every third until there were enough", ""
    used = f"{len(evaluation)} of {own.candidates.count} images are measured, spread over all"
    few = len(evaluation) < request.wanted
    texts = (
        f"{used} ({request.wanted} were asked)" if few else used,
        f"calibration: {note}",
        remark,
        f"labels: {labels.how}" if labels else "",
    )
    facts = {"n_files": own.candidates.count, "labelled": labels is not None, "skipped": list(choice.skipped)}
    facts["kept_to_calibrate"] = len(calibration) if few and calibration else 0
    said = "; ".join(filter(None, texts))
    prepared = described(own.name, own.source, evaluation, calibration, note, said, **facts)
    larger = partial(_labelled, own, request, choice, labels.classes) if labels else None
    return replace(prepared, calibration_remedy=remedy, labelled=larger)


def _labelled(own: Own, request: SetsAsked, choice: Choice, labels: tuple[int, ...]) -> Labelled:
    """All usable images that do not calibrate, distinct by content."""
    kept: list[int] = []
    skipped: list[dict[str, str]] = []
    seen = set(choice.calibration.values())

    def rows() -> Iterator[NDArray[Any]]:
        for index in range(own.candidates.count):
            if index in choice.calibration:
                continue
            try:
                row = own.candidates.read(index)
            except Unusable as error:
                skipped.append({"file": own.candidates.name(index), "why": str(error)})
                continue
            content = digest(row)
            if content in seen:
                skipped.append({"file": own.candidates.name(index), "why": "same picture as one already used"})
                continue
            seen.add(content)
            kept.append(labels[index])
            yield row

    path = request.folder / f"{own.kind}-labelled.{_SUFFIXES[own.kind]}"
    images = store_images(part_name(own.name, "labelled"), path, rows(), request.view)
    return Labelled(replace(images, labels=tuple(kept)), tuple(skipped))

"""Batch noise image by image, and the margin screen over it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.compare.comparisons import PROBES, moved
from isobatch.pipeline.evidence.evidence import Evidence, Pass, PassKind
from isobatch.pipeline.evidence.outcomes import Gallery, before_last, changed, outcome_margin
from isobatch.pipeline.evidence.rows import row_distance
from isobatch.pipeline.records.study import Condition, Margin

Images = NDArray[np.int64]
_BATCHED: tuple[PassKind, ...] = ("batched", *PROBES)


@dataclass(frozen=True)
class Observation:
    """What one N under one condition did to each image, against its singles. Arrays are [images].

    An image seen twice has the worse of both.
    """

    condition: Condition
    batch_size: int
    # Which images of the set were run under this condition, rising; conditions of one set may have run different ones.
    images: Images
    seen: NDArray[np.bool_]  # the image was run at this N
    differs: NDArray[np.bool_]  # other bytes
    flipped: NDArray[np.bool_]  # another outcome
    # The largest |batched - singles| in the columns of the outcome, before its last operator where it is looked
    # through; 0 where unseen.
    noise: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """The largest noise of any image."""
        return float(self.noise.max())


def united(parts: Iterable[tuple[Images, NDArray[Any]]], worst: np.ufunc) -> tuple[Images, NDArray[Any]]:
    """The images of all parts, rising, and for each the ``worst`` of its values: those of the parts that ran it.

    A part is (images, one value for each). ``worst``: a ufunc of two values such as ``np.maximum``.
    """
    every = list(parts)
    images = np.unique(np.concatenate([part for part, _ in every]))
    values: NDArray[Any] | None = None
    known = np.zeros(len(images), dtype=np.bool_)
    for part, own in every:
        at = np.searchsorted(images, part)
        if values is None:
            values = np.zeros(len(images), dtype=own.dtype)
        values[at] = np.where(known[at], worst(values[at], own), own)
        known[at] = True
    assert values is not None
    return images, values


def observations(evidence: Evidence, condition: Condition) -> list[Observation]:
    """One observation for each N, of the plain and the probing passes; linear in the rows that differ."""
    return [_observe(evidence, condition, passes) for kind in _BATCHED for passes in evidence.alike(kind)]


def _observe(evidence: Evidence, condition: Condition, passes: Sequence[Pass]) -> Observation:
    ran = evidence.images
    size, first = len(ran), evidence.span[0]
    seen, differs, flipped = (np.zeros(size, dtype=np.bool_) for _ in range(3))
    noise = np.zeros(size)
    for chosen in passes:
        images = np.asarray(chosen.images, dtype=np.int64)
        index, rows = evidence.rows(chosen.id)
        singles = evidence.alone(images[index])
        at = images[index] - first
        seen[images - first] = True
        differs[at] = True
        turned = changed(singles, rows, evidence.outcome, Gallery(evidence.singles, at))
        np.logical_or.at(flipped, at, turned)  # of copies one image has many rows
        apart = row_distance(before_last(singles, evidence.outcome), before_last(rows, evidence.outcome))
        with np.errstate(invalid="ignore"):  # a NaN stays one
            np.maximum.at(noise, at, apart)
    return Observation(moved(condition, passes[0]), passes[0].batch_size, ran, seen, differs, flipped, noise)


def margin_screen(
    alone: Iterable[tuple[Images, NDArray[Any]]], seen: Sequence[Observation], outcome: Outcome = CLASSES
) -> Margin:
    """The screen of method.md: an image is exposed unless its margin exceeds 2 d.

    ``alone``: for each condition the images it ran and their singles [images, classes], taken in turn. An image's
    margin is its smallest, over the conditions that ran it. d: the largest noise in ``seen`` of the *other* images. A
    single image has no others, so it is exposed.
    """
    images, margins = smallest_margins(alone, outcome)
    noise = largest_noise(images, seen)
    others = leave_one_out(noise)
    exposed = images[~(margins > 2 * others)]  # so written that a NaN exposes
    return Margin(
        observed_noise=float(noise.max()),
        screened_share=1 - len(exposed) / len(margins),
        exposed_images=exposed.tolist(),
        median_margin=float(np.median(margins)),
    )


def smallest_margins(
    alone: Iterable[tuple[Images, NDArray[Any]]], outcome: Outcome = CLASSES
) -> tuple[Images, NDArray[np.float64]]:
    """The images of all conditions, rising, and the smallest margin of each (``outcomes.outcome_margin``)."""
    return united(((images, outcome_margin(rows, outcome)) for images, rows in alone), np.minimum)


def largest_noise(images: Images, seen: Sequence[Observation]) -> NDArray[np.float64]:
    """For each of these images the largest noise of any observation, float64 [images]; 0 where none saw it."""
    nothing = (images, np.zeros(len(images)))
    return united([nothing, *((observation.images, observation.noise) for observation in seen)], np.maximum)[1]


def leave_one_out(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each element the largest of all others, float64 [n]; NaN ranks as largest. [inf] for n = 1."""
    if len(noise) == 1:
        return np.array([np.inf])
    order = np.argsort(noise)
    others = np.full(len(noise), noise[order[-1]])
    others[order[-1]] = noise[order[-2]]
    return others

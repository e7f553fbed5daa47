"""Batch noise image by image, and the margin screen over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.comparisons import PROBES, moved
from isobatch.pipeline.evidence.evidence import Evidence, Pass, PassKind
from isobatch.pipeline.evidence.rows import row_distance, top1, top1_margin
from isobatch.pipeline.records.study import Condition, Margin

_BATCHED: tuple[PassKind, ...] = ("batched", *PROBES)


@dataclass(frozen=True)
class Observation:
    """What one N under one condition did to each image, against its singles. Arrays are [images of the set].

    ``seen``: the image was run at this N. ``differs``: other bytes. ``flipped``: another top-1 class. ``noise``: the
    largest |batched - singles| in logits, 0 where unseen. An image seen twice has the worse of both.
    """

    condition: Condition
    batch_size: int
    seen: NDArray[np.bool_]
    differs: NDArray[np.bool_]
    flipped: NDArray[np.bool_]
    noise: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """The largest noise of any image."""
        return float(self.noise.max())


def observations(evidence: Evidence, condition: Condition) -> list[Observation]:
    """One observation for each N, of the plain and the probing passes; linear in the rows that differ."""
    return [_observe(evidence, condition, passes) for kind in _BATCHED for passes in evidence.alike(kind)]


def _observe(evidence: Evidence, condition: Condition, passes: Sequence[Pass]) -> Observation:
    size = len(evidence.singles)
    seen, differs, flipped = (np.zeros(size, dtype=np.bool_) for _ in range(3))
    noise = np.zeros(size)
    for chosen in passes:
        images = np.asarray(chosen.images, dtype=np.int64)
        index, rows = evidence.rows[chosen.id]
        singles = evidence.singles[images[index]]
        seen[images] = True
        differs[images[index]] = True
        flipped[images[index]] |= top1(singles) != top1(rows)
        noise[images[index]] = np.maximum(noise[images[index]], row_distance(singles, rows))
    return Observation(moved(condition, passes[0]), passes[0].batch_size, seen, differs, flipped, noise)


def margin_screen(singles: Iterable[NDArray[Any]], seen: Sequence[Observation]) -> Margin:
    """The screen of method.md: an image is exposed unless its margin exceeds 2 d.

    ``singles``: one array [n, classes] for each condition, taken in turn; an image's margin is its smallest. d: the
    largest noise in ``seen`` of the *other* images. A single image has no others, so it is exposed.
    """
    margins = np.min([top1_margin(rows) for rows in singles], axis=0)
    noise = np.max([one.noise for one in seen], axis=0)
    others = leave_one_out(noise)
    exposed = np.flatnonzero(~(margins > 2 * others))  # so written that a NaN exposes
    return Margin(
        observed_noise=float(noise.max()),
        screened_share=1 - len(exposed) / len(margins),
        exposed_images=exposed.tolist(),
        median_margin=float(np.median(margins)),
    )


def leave_one_out(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each element the largest of all others, float64 [n]; NaN ranks as largest. [inf] for n = 1."""
    if len(noise) == 1:
        return np.array([np.inf])
    order = np.argsort(noise)
    others = np.full(len(noise), noise[order[-1]])
    others[order[-1]] = noise[order[-2]]
    return others

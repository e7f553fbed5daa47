"""Of an embedding: how many of an image's nearest neighbours stay its nearest neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.outcomes import Gallery, cosines, outcome_columns
from isobatch.pipeline.evidence.rows import ranked

KS = (1, 5, 10)
_AT_ONCE = 256


def ideal(rows: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None) -> Values:
    """Every neighbour stays; None where the outcome is no embedding, or the images are too few to tell."""
    return _values(dict.fromkeys(_possible(len(gallery.rows if gallery else rows)), 1.0), outcome)


def measure(
    reference: NDArray[Any], candidate: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None
) -> Values:
    """``recall_at_k``: by k, over all images, the mean share of the k nearest that ``reference`` gives an image which
    ``candidate`` gives it too; None as in ``ideal``.

    Both seek, by cosine, among the rows of the gallery but the image's own: an index made of single images, asked with
    a row computed alone and in a batch. Equal cosines rank by image, the first before others. k: 1, 5 and 10, where
    the gallery has more than k + 1 images, as k of k others are always the nearest.
    """
    gallery = gallery or Gallery(reference, np.arange(len(reference)))
    if outcome.kind != "embedding" or not (possible := _possible(len(gallery.rows))):
        return _values({}, outcome)
    among = outcome_columns(gallery.rows, outcome)
    single, asked = outcome_columns(reference, outcome), outcome_columns(candidate, outcome)
    kept = dict.fromkeys(possible, 0)
    for start in range(0, len(asked), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        alone, batched = (_nearest(rows[part], among, gallery.own[part], possible[-1]) for rows in (single, asked))
        for k in possible:
            kept[k] += int((alone[:, :k, np.newaxis] == batched[:, np.newaxis, :k]).sum())
    return _values({k: count / (k * len(asked)) for k, count in kept.items()}, outcome)


def _nearest(rows: NDArray[Any], gallery: NDArray[Any], own: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k places in the gallery of the largest cosines, [n, k], the largest first; each row's own place left out."""
    ranks = ranked(cosines(rows, gallery))
    ranks[np.arange(len(rows)), own] = -np.inf
    return np.asarray(np.argsort(-ranks, axis=1, kind="stable")[:, :k])


def _possible(n: int) -> list[int]:
    return [k for k in KS if k < n - 1]


def _values(shares: dict[int, float], outcome: Outcome) -> Values:
    if outcome.kind != "embedding" or not shares:
        return {"recall_at_k": None}
    return {"recall_at_k": {str(k): share for k, share in shares.items()}}


METRIC = Metric(measure, ideal, of_outcome=True)
"""What an embedding is made for: finding the same images."""

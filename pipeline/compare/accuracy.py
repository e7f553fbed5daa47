"""Accuracy on labelled images, looked at in steps of one drawn order, and its paired drop against the fp32 singles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.statistics import ALPHA, drop_decision, drop_upper, needed_n, rate_interval
from isobatch.pipeline.records.study import Accuracy, AccuracyDrop

Classes = NDArray[np.integer]

LOOKS = (100, 200, 400)
_FURTHER = 1.25  # a look that is hardly less than the next one is left out


def accuracy(predicted: Classes, labels: Classes, inputs: str, batch_size: int | None) -> Accuracy:
    """Top-1 accuracy with its exact two-sided 95 % interval. Both arrays are [n] of class indices, n >= 1."""
    right = _right(predicted, labels)
    hits, n = int(right.sum()), len(right)
    low, high = rate_interval(hits, n)
    marks = "".join("01"[is_right] for is_right in right.tolist())
    return Accuracy(top1=hits / n, low95=low, high95=high, n=n, inputs=inputs, batch_size=batch_size, right=marks)


def unpacked(record: Accuracy) -> NDArray[np.bool_] | None:
    """Which images were answered rightly, in the study's drawn order; None where the record does not tell."""
    return None if record.right is None else np.array([mark == "1" for mark in record.right], dtype=np.bool_)


def accuracy_drop(
    reference_predicted: Classes,
    variant_predicted: Classes,
    labels: Classes,
    max_drop_points: float | None,
    looks: int = 1,
) -> AccuracyDrop:
    """The drop from the reference (fp32 singles) to the variant on the same images, as a share, with its exact bound.

    ``max_drop_points``: the limit in points of top-1 (2.0 is a share of 0.02) that ``decided`` answers to; None: no
    limit, and ``decided`` is None. ``looks``: see ``AccuracyDrop``.
    """
    reference_right, variant_right = _right(reference_predicted, labels), _right(variant_predicted, labels)
    b, c, n = int((reference_right & ~variant_right).sum()), int((variant_right & ~reference_right).sum()), len(labels)
    drop = AccuracyDrop(
        value=(b - c) / n,
        upper95=drop_upper(b, c, n, ALPHA / looks),
        n=n,
        only_reference_right=b,
        only_variant_right=c,
        decided=None,
        looks=looks,
    )
    return drop if max_drop_points is None else decide(drop, max_drop_points)


def decide(drop: AccuracyDrop, max_drop_points: float) -> AccuracyDrop:
    """The same drop, decided against another limit (in points)."""
    counts = drop.only_reference_right, drop.only_variant_right, drop.n
    limit = max_drop_points / 100
    alpha = ALPHA / drop.looks
    decided = drop_decision(*counts, limit, alpha)
    needed = needed_n(*counts, limit, alpha) if decided == "undecided" else None
    return drop.model_copy(update={"decided": decided, "needed_n": needed})


def look_sizes(n_images: int) -> tuple[int, ...]:
    """After how many images it is looked whether the drop is decided; the last is all. Each has 5 % / their number."""
    return (*(look for look in LOOKS if look * _FURTHER <= n_images), n_images)


def stratified_order(labels: Sequence[int], seed: int) -> NDArray[np.int64]:
    """A drawn order of the images, int64 [n], any beginning of which holds the classes in nearly their proportions.

    Each class is shuffled; its k-th of m images is placed at (k + u) / m with u drawn from 0 to 1, and all are sorted
    by place (systematic sampling within strata: Cochran, Sampling Techniques, 1977, 5A.11).
    """
    draws = np.random.Generator(np.random.PCG64(seed))
    classes = np.asarray(labels, dtype=np.int64)
    places = np.empty(len(classes))
    for label in np.unique(classes):
        members = draws.permutation(np.flatnonzero(classes == label))
        places[members] = (np.arange(len(members)) + draws.random(len(members))) / len(members)
    return np.argsort(places, kind="stable").astype(np.int64)


def _right(predicted: Classes, labels: Classes) -> NDArray[np.bool_]:
    if predicted.shape != labels.shape or predicted.ndim != 1 or not len(labels):
        raise ValueError(
            f"{list(predicted.shape)} predictions for {list(labels.shape)} labels: give one of each for every image"
        )
    return np.asarray(predicted == labels)

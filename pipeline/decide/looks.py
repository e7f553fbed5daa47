"""Accuracy in steps: one drawn order of the labelled images, and how far a look at them goes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOOKS = (100, 200, 400)
_FURTHER = 1.25  # a look that is hardly less than the next one is left out


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

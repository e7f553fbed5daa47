"""The labelled images of a study, and what each variant predicts for them, look after look."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images

BASELINE_SINGLES = "baseline singles"


@dataclass(frozen=True)
class Predictions:
    """The predicted class of the labelled images seen so far, in the drawn order, and the N they were computed at."""

    classes: tuple[int, ...]
    batch_size: int
    margins: tuple[float, ...] = ()  # see ``worker.predict``
    outputs: int = 0

    def and_then(self, more: Predictions) -> Predictions:
        """These and what followed."""
        return Predictions(
            self.classes + more.classes, self.batch_size, self.margins + more.margins, max(self.outputs, more.outputs)
        )


@dataclass(frozen=True)
class LabelledRun:
    """The labelled images of an input set, the order in which they were run, and what each variant predicts for them.

    ``reference``: the ruler's answers, as far as any variant went; None where it could not be run.
    """

    inputs: str
    images: Images
    order: NDArray[np.int64]
    looks: int
    predictions: dict[str, Predictions] = field(default_factory=dict)  # by variant, and BASELINE_SINGLES
    reference: tuple[int, ...] | None = None

    def labels(self, count: int) -> NDArray[np.int64]:
        """The classes of the first ``count`` images of the order."""
        assert self.images.labels is not None
        return np.asarray(self.images.labels, dtype=np.int64)[self.order[:count]]

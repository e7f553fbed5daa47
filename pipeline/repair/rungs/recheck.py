"""Batches as they come, and alone once more only the images whose answer the batch could have changed."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.shared.wrapped import Wrapped
from isobatch.models.spec.change import Change
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.evidence.outcomes import outcome_columns, outcome_margin
from isobatch.pipeline.records.wording import number
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung

_BY_MARGIN = ("classes", "binary", "labels")
_TIMES_NOISE = 2  # two logits that move apart by d each change their difference by 2 d


def applies_to(bench: Bench) -> str:
    """Needs several images, to see how far the batch moves a logit, and an answer that a margin protects."""
    if bench.outcome.kind not in _BY_MARGIN:
        return f"no margin of one image's values protects an outcome of kind {bench.outcome.kind}"
    return "" if len(bench.images) > 1 else "one image shows no batch noise"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The screen at twice the largest difference seen between batched and singles."""
    rows = [bench.runner.run(bench.images[i : i + 1]) for i in range(len(bench.images))]
    singles = outcome_columns(np.concatenate(rows), bench.outcome).astype(np.float64)
    batched = outcome_columns(bench.runner.run(bench.images), bench.outcome).astype(np.float64)
    noise = float(np.abs(batched - singles).max(initial=0.0))
    how = f"images of a margin up to {number(_TIMES_NOISE * noise)} run again alone"
    again = partial(Rechecked, margin=_TIMES_NOISE * noise, outcome=bench.outcome)
    yield Candidate(again, how, bitwise=False, change=Change(recheck=_TIMES_NOISE * noise))


class Rechecked(Wrapped):
    """Runs a live runner, and again alone every image whose margin (``outcome_margin``) does not exceed ``margin``."""

    def __init__(self, runner: Runner, margin: float, outcome: Outcome = CLASSES) -> None:
        super().__init__(runner)
        self._margin = margin
        self._outcome = outcome
        self.images = 0
        self.recomputed = 0

    @property
    def recomputed_share(self) -> float | None:
        """Of the images run in batches the share that was run again alone; None before any was."""
        return self.recomputed / self.images if self.images else None

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of the batch, those of exposed images replaced by their singles."""
        rows = self._runner.run(images)
        exposed = self._exposed(rows) if len(images) > 1 else np.array([], np.int64)
        for index in exposed:
            rows[index] = self._runner.run(images[index : index + 1])[0]
        self.images += len(images) * (len(images) > 1)
        self.recomputed += len(exposed)
        return rows

    def _exposed(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        return np.flatnonzero(~(outcome_margin(rows, self._outcome) > self._margin))  # NaN is exposed


RUNG = Rung(
    order=70,
    question="Does the answer stay that of the singles if only images of small margin are run again alone?",
    applies_to=applies_to,
    apply=apply,
)

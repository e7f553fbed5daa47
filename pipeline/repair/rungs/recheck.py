"""Batches as they come, and alone once more only the images whose top-1 the batch could have changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Effective
from isobatch.pipeline.records.wording import number
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung

_TIMES_NOISE = 2  # two logits that move apart by d each change their difference by 2 d


def applies_to(bench: Bench) -> str:
    """Needs several images, to see how far the batch moves a logit."""
    return "" if len(bench.images) > 1 else "one image shows no batch noise"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The screen at twice the largest difference seen between batched and singles."""
    singles = np.concatenate([bench.runner.run(image[None]) for image in bench.images]).astype(np.float64)
    batched = bench.runner.run(bench.images).astype(np.float64)
    noise = float(np.abs(batched - singles).max(initial=0.0))
    how = f"images of a margin up to {number(_TIMES_NOISE * noise)} run again alone"
    change = {"recheck": _TIMES_NOISE * noise}
    yield Candidate(partial(Rechecked, margin=_TIMES_NOISE * noise), how, bitwise=False, change=change)


class Rechecked:
    """Runs a live runner, and again alone every image whose top-1 margin does not exceed ``margin`` logits."""

    def __init__(self, runner: Runner, margin: float) -> None:
        self._runner = runner
        self._margin = margin
        self.images = 0
        self.recomputed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The runner behind stays open: it is not this one's."""

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of the batch, those of exposed images replaced by their singles."""
        rows = self._runner.run(images)
        exposed = self._exposed(rows) if len(images) > 1 else np.array([], np.int64)
        for index in exposed:
            rows[index] = self._runner.run(images[index : index + 1])[0]
        self.images += len(images) * (len(images) > 1)
        self.recomputed += len(exposed)
        return rows

    def effective(self) -> Effective:
        """What the runner behind says."""
        return self._runner.effective()

    def _exposed(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        if rows.shape[1] < 2:
            return np.array([], np.int64)
        second, first = np.sort(rows.astype(np.float64), axis=1)[:, -2:].T
        return np.flatnonzero(~(first - second > self._margin))  # NaN is exposed


RUNG = Rung(
    name="recheck",
    order=70,
    question="Does top-1 stay that of the singles if only images of small margin are run again alone?",
    applies_to=applies_to,
    apply=apply,
)

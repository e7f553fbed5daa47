"""The rungs that change activation scales: one way each, that of the runner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Rescalable, Scales
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung


def scale_rung(name: str, order: float, kind: Scales, how: str, question: str) -> Rung:
    """The rung of one kind of scales; ``how``: in words."""

    def apply(bench: Bench) -> Iterator[Candidate]:
        """The one way."""
        change = {"scales": kind, "examples": len(bench.images)}
        yield Candidate(partial(_rescaled, kind, bench.images), how, change=change)

    return Rung(name=name, order=order, question=question, applies_to=_applies_to, apply=apply)


def _applies_to(bench: Bench) -> str:
    """Needs quantized activations."""
    return "" if isinstance(bench.runner, Rescalable) else "it has no activation scales"


def _rescaled(kind: Scales, examples: NDArray[np.float32], runner: Any) -> Runner:
    changed: Runner = runner.with_scales(kind, examples)
    return changed

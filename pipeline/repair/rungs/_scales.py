"""What the rungs that change activation scales share."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Scales
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.repair.rungs import Bench, Candidate


def with_scales(kind: Scales, bench: Bench, how: str) -> Candidate:
    """The candidate with these scales."""
    change = {"scales": kind, "examples": len(bench.images)}
    return Candidate(partial(rescaled, kind, bench.images), how, change=change)


def rescaled(kind: Scales, examples: NDArray[np.float32], runner: Any) -> Runner:
    """The runner with these scales. Raises VariantUnavailable where it has none to change."""
    found: Runner = runner.with_scales(kind, examples)
    return found

"""A network whose every call has one size: cut into parts, the last one filled up with copies of its last image."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Canonical, Runner
from isobatch.models.spec.words import Effective


class Padded:
    """Runs a live runner in calls of ``rule.size`` images. It owns nothing: the runner behind stays open."""

    def __init__(self, runner: Runner, rule: Canonical) -> None:
        self._runner = runner
        self._size = rule.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of these images [n, ...], whatever n is."""
        parts = []
        for start in range(0, len(images), self._size):
            part = images[start : start + self._size]
            missing = self._size - len(part)
            full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self._runner.run(np.ascontiguousarray(full))[: len(part)])
        return np.concatenate(parts)

    def effective(self) -> Effective:
        """What the runner behind says: the kernels are the same."""
        return self._runner.effective()

"""A network that runs with documented switches of its library turned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Deployable
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Effective, Json, VariantUnavailable


class Switched:
    """Makes each call of another runner inside of ``turned``. ``opens``: it is this one's, and opened so too."""

    def __init__(
        self,
        runner: Runner,
        options: Mapping[str, Any],
        turned: Callable[[], AbstractContextManager[Any]],
        *,
        opens: bool = False,
    ) -> None:
        self._runner = runner
        self._options = options
        self._turned = turned
        self._opens = opens

    def __enter__(self) -> Self:
        if self._opens:
            with self._turned():
                self._runner.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._opens:
            self._runner.__exit__(*raised)

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of the runner behind, with the switches turned."""
        with self._turned():
            return self._runner.run(images)

    def effective(self) -> Effective:
        """What the runner behind says."""
        return self._runner.effective()

    def write(self, folder: Path, examples: NDArray[np.float32]) -> dict[str, Json]:
        """Write the runner behind; the loader turns the switches. Raises VariantUnavailable where that cannot be."""
        if not isinstance(self._runner, Deployable):
            raise VariantUnavailable("this network cannot be written to files", "serve it from this project")
        return {**self._runner.write(folder, examples), "switches": dict(self._options)}

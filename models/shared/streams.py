"""A network run with other threads than it was opened with, or on several images at a time, each by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Deployable
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Effective, Json, VariantUnavailable


class Streamed:
    """Runs another runner inside of what ``opened`` opens, for as long as this one is open.

    ``streams`` of 1: batches as they come. More: every image of a batch alone, so many at a time.
    """

    def __init__(self, runner: Runner, streams: int, opened: AbstractContextManager[Any]) -> None:
        self._runner = runner
        self._streams = streams
        self._opened = opened
        self._stack = ExitStack()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._opened)
            if self._streams > 1:
                self._pool = stack.enter_context(ThreadPoolExecutor(self._streams))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool = None
        self._stack.close()

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of the runner behind, in the order of the images."""
        if self._pool is None:
            return self._runner.run(images)
        return np.concatenate([*self._pool.map(self._runner.run, np.split(images, len(images)))])

    def effective(self) -> Effective:
        """What the runner behind says."""
        return self._runner.effective()

    def write(self, folder: Path, examples: NDArray[np.float32]) -> dict[str, Json]:
        """Write the runner behind. Raises VariantUnavailable where that cannot be."""
        if not isinstance(self._runner, Deployable):
            raise VariantUnavailable("this network cannot be written to files", "serve it from this project")
        return self._runner.write(folder, examples)

"""Runners in front of another one: its calls padded to one size, on other threads, or with switches turned."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Deployable
from isobatch.models.spec.runner import Canonical, Runner
from isobatch.models.spec.words import Effective, Json, VariantUnavailable


class Wrapped:
    """Says what the runner behind says. It owns nothing: the runner behind stays open when this one is left."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def effective(self) -> Effective:
        """What the runner behind says: the kernels are the same."""
        return self._runner.effective()


class WrittenBehind(Wrapped):
    """One whose deployment is written by the runner behind."""

    def write(self, folder: Path) -> dict[str, Json]:
        """Write the runner behind. Raises VariantUnavailable where that cannot be."""
        if not isinstance(self._runner, Deployable):
            raise VariantUnavailable("this network cannot be written to files", "serve it from this project")
        return self._runner.write(folder)


class Padded(Wrapped):
    """Calls of ``rule.size`` images: cut into parts, the last one filled up with copies of its last image."""

    def __init__(self, runner: Runner, rule: Canonical) -> None:
        super().__init__(runner)
        self._size = rule.size

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """The rows of these images [n, ...], whatever n is."""
        parts = []
        for start in range(0, len(images), self._size):
            part = images[start : start + self._size]
            missing = self._size - len(part)
            full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self._runner.run(np.ascontiguousarray(full))[: len(part)])
        return np.concatenate(parts)


class Streamed(WrittenBehind):
    """Runs another runner inside of what ``opened`` opens, for as long as this one is open.

    ``streams`` of 1: batches as they come. More: every image of a batch alone, so many at a time.
    """

    def __init__(self, runner: Runner, streams: int, opened: AbstractContextManager[Any]) -> None:
        super().__init__(runner)
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


class Switched(WrittenBehind):
    """Makes each call of another runner inside of ``turned``. ``opens``: it is this one's, and opened so too."""

    def __init__(
        self,
        runner: Runner,
        options: Mapping[str, Any],
        turned: Callable[[], AbstractContextManager[Any]],
        *,
        opens: bool = False,
    ) -> None:
        super().__init__(runner)
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

    def write(self, folder: Path) -> dict[str, Json]:
        """Write the runner behind; the loader turns the switches. Raises VariantUnavailable where that cannot be."""
        return {**super().write(folder), "switches": dict(self._options)}

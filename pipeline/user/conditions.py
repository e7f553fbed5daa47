"""Under which conditions a network is to be batch-invariant: thread counts, and images of other sizes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import load
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.layers import joined, survey
from isobatch.pipeline.repair.shapes import Shapes


@dataclass(frozen=True)
class Condition:
    """So many threads, and examples of one size."""

    threads: int
    rows: NDArray[Any]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.rows.shape[2:]))
        return f"{counted(self.threads, 'thread')}{f', {size} pixels' if size else ''}"


def conditions(rows: NDArray[Any], image_sizes: Sequence[int], threads: Sequence[int]) -> tuple[Condition, ...]:
    """Every thread count with every size; first the examples as they are, with torch's present threads or the most.

    Of another size an example is its own pixels, repeated or left out. Raises ValueError for a size or number of
    threads below 1, and for sizes of what is no image.
    """
    now: int = load("torch:get_num_threads")()
    if any(count < 1 for count in threads) or any(size < 1 for size in image_sizes):
        raise ValueError("image_sizes and threads are whole numbers from 1 on")
    if image_sizes and (rows.dtype.names or rows.ndim != 4):
        raise ValueError("image_sizes are for one input of images [n, channels, height, width]")
    main = now if not threads or now in threads else max(threads)
    counts = dict.fromkeys([main, *threads])
    sets = [rows, *(_resized(rows, size) for size in dict.fromkeys(image_sizes) if (size, size) != rows.shape[2:])]
    return tuple(Condition(count, images) for count in counts for images in sets)


def _resized(rows: NDArray[Any], size: int) -> NDArray[Any]:
    height, width = (np.arange(size) * side // size for side in rows.shape[2:])
    return np.ascontiguousarray(rows[:, :, height][:, :, :, width])


@contextmanager
def opened(network: Any, threads: int, *, as_it_is: bool = False) -> Iterator[Any]:
    """A runner with so many threads."""
    open_network = load("isobatch.models.user_networks:open_network")
    threaded = load("isobatch.models.pytorch.runner:torch_threads")
    with threaded(threads), open_network(network, threads, as_it_is=as_it_is) as runner:
        yield runner


def surveyed(
    runner: Any, network: Any, every: Sequence[Condition], largest: int, seed: int, done: Callable[[int], None]
) -> tuple[Located, dict[str, Shapes]]:
    """The layers that depend on N under any condition, and the classes of N that hold under all of them.

    ``runner``: of the first condition. ``done`` as of ``survey``.
    """
    first, *others = every
    located, shapes = survey(runner, first.rows, largest, seed, done)
    for condition in others:
        with opened(network, condition.threads) as other:
            located, shapes = joined(located, shapes, *survey(other, condition.rows, largest, seed, done))
    return located, shapes

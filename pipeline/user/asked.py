"""What a user asks to be made batch-invariant, under which conditions, over what, and within which time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import load
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.user.progress import ProgressLine

_NO_TIME = "the time was over (seconds={:g})"


@dataclass(frozen=True)
class ThreadsAndRows:
    """So many threads, and examples of one size."""

    threads: int
    rows: NDArray[Any]

    def __str__(self) -> str:
        size = " x ".join(map(str, self.rows.shape[2:]))
        return f"{counted(self.threads, 'thread')}{f', {size} pixels' if size else ''}"


def conditions(rows: NDArray[Any], image_sizes: Sequence[int], threads: Sequence[int]) -> tuple[ThreadsAndRows, ...]:
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
    return tuple(ThreadsAndRows(count, images) for count in counts for images in sets)


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


@dataclass(frozen=True)
class Examples:
    """Example inputs in the shape of ``isobatch.models.spec.images.Images``, as far as a repair asks."""

    name: str
    rows: NDArray[Any]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A copy of the examples ``start`` to ``stop``."""
        return self.rows[start:stop].copy()


@dataclass(frozen=True)
class RepairRequest:
    """What is asked for: the conditions (the repair is priced under the first), N of the scope, the objective, the
    rungs, and the time, which is over at ``deadline``.
    """

    conditions: tuple[ThreadsAndRows, ...]
    scope: tuple[int, ...]
    objective: str
    rungs: Sequence[str]
    seconds: float
    deadline: float
    say: ProgressLine

    @property
    def rows(self) -> NDArray[Any]:
        """The examples as they were given."""
        return self.conditions[0].rows

    @property
    def over(self) -> str:
        """That time is over, in words."""
        return _NO_TIME.format(self.seconds)

    def until(self, share: float) -> float:
        """When (of ``time.monotonic``) this share of the time is over."""
        return self.deadline - (1 - share) * self.seconds

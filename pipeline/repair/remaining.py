"""How long a repair will take, from the pace of this network on this machine: no table knows that of a small one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from isobatch.pipeline.prepare.state import Progress
from isobatch.pipeline.repair.crossing import RepairTold
from isobatch.pipeline.repair.layers import survey_images
from isobatch.pipeline.repair.verify import command_sizes, every_size

_PAIRS = 8  # of calls for each N, about
_START_S = 3.0  # of a fresh process until it has loaded its library, about


@dataclass(frozen=True)
class Work:
    """What is passed by stage, in images."""

    look: int  # to look at the layers
    candidate: int  # for one candidate of a rung
    serve: int  # to serve what was written
    processes: int  # fresh ones that serve it


def work(n_images: Sequence[int], batch_sizes: Sequence[int], threads: int) -> Work:
    """Over sets of so many images each, the first of which is priced on, at so many thread counts."""
    first = n_images[0]
    passes = [planned for count in n_images for planned in every_size(count, batch_sizes)]
    verified = sum(planned.stop - planned.start for planned in passes) + sum(n_images)  # the native singles too
    served = sum(count * len({1, *(n for n in batch_sizes if n <= count)}) for count in n_images)
    return Work(
        look=threads * survey_images(min(first, max(batch_sizes, default=1))),
        candidate=threads * verified + 2 * _PAIRS * sum(command_sizes(first, batch_sizes)),
        serve=threads * served,
        processes=threads * len(n_images) + 2,  # and two for the memory of both networks
    )


class Remaining:
    """Shows what a worker tells of its progress, and how long the rest takes, as if the next candidate were to hold.

    Nothing is promised before the first images were run: the pace is theirs.
    """

    def __init__(
        self, progress: Progress, variant: str, planned: Work, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress, self._variant, self._planned, self._clock = progress, variant, planned, clock
        self._left = planned.look + planned.candidate  # images, in the worker
        self._images, self._busy_s, self._last = 0, 0.0, clock()
        self._label = f"opening {variant}"
        progress.step(self._label, 0.0)

    def told(self, event: Any) -> None:
        """Take one event of ``pipeline.repair.in_worker:repair``."""
        said = RepairTold.of(event)
        last, self._last = self._last, self._clock()
        if said.images:  # opening, and trying what may be changed, is no image's time
            self._images, self._busy_s = self._images + said.images, self._busy_s + self._last - last
        self._left = self._planned.candidate if said.more else max(0, self._left - said.images)
        if said.doing:
            self._label = f"{self._variant}: {said.doing}"
            self._plan()
        self._progress.step(self._label, 0.0)

    def written(self) -> None:
        """The worker has ended: what is left is to serve the files."""
        self._left = 0
        self._plan()

    def _plan(self) -> None:
        if self._images:
            pace = self._busy_s / self._images
            seconds = pace * (self._left + self._planned.serve) + _START_S * self._planned.processes
            self._progress.plan(seconds, real=True)

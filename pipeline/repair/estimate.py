"""How much work a repair over a scope is, in images passed through the network: for what is shown of its progress."""

from collections.abc import Sequence
from dataclasses import dataclass

from isobatch.pipeline.repair.layers import survey_images
from isobatch.pipeline.repair.verify import every_size

_PRICED = (2, 8)
_PAIRS = 8  # of calls for each N, about


@dataclass(frozen=True)
class Work:
    """Images passed: to ``look`` at the layers, for one ``candidate`` of a rung, to ``serve`` what was written."""

    look: int
    candidate: int
    serve: int

    @property
    def least(self) -> int:
        """Of a repair whose first candidate holds."""
        return self.look + self.candidate + self.serve


def work(n_images: Sequence[int], batch_sizes: Sequence[int], threads: int) -> Work:
    """Over sets of so many images each, the first of which is priced on, at so many thread counts."""
    first = n_images[0]
    passes = [planned for count in n_images for planned in every_size(count, batch_sizes)]
    verified = sum(planned.stop - planned.start for planned in passes) + sum(n_images)  # the native singles too
    served = sum(served_images(count, batch_sizes) for count in n_images)
    return Work(
        look=threads * survey_images(min(first, max(batch_sizes, default=1))),
        candidate=threads * verified + 2 * _PAIRS * sum(command_sizes(first, batch_sizes)),
        serve=threads * served,
    )


def served_images(n_images: int, batch_sizes: Sequence[int]) -> int:
    """What a fresh process passes: every image at every N."""
    return n_images * len({1, *(n for n in batch_sizes if n <= n_images)})


def command_sizes(n_images: int, batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """The N to price: one image alone; of the scope that the set can fill 2, 8 and the largest."""
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    return tuple(sorted({1, *(n for n in tested if n in _PRICED), *tested[-1:]}))

"""How far an origin is sought: how many rows are drawn for each layer, and the ties and the N it is tried at."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Search:
    """The bounds of one search. No bound is a time."""

    rows: int  # images captured, at most
    # Sets of drawn rows for each layer, at most; after the first, no further one once a layer has been tried on
    # ``elements`` output elements or is known to depend on N.
    draws: int
    elements: int
    every_layer: bool  # drawn rows for each layer, not only for one of each signature
    ties: int  # placements of an integer layer on rounding ties
    every_n: bool  # all N up to the images captured, not only the study's

    def batch_sizes(self, asked: Sequence[int], captured: int) -> list[int]:
        """The N at which layers are replayed, ascending: those asked for, up to the images captured, or else these."""
        sizes = range(2, captured + 1) if self.every_n else asked
        return sorted(n for n in set(sizes) if n <= captured) or [captured]

    def captured(self, asked: Sequence[int], images: int) -> int:
        """How many images are captured, of so many: as many as the largest N that is asked for and allowed."""
        return min(images, max([n for n in asked if n <= self.rows], default=self.rows))


DEFAULT = Search(rows=8, draws=1, elements=0, every_layer=False, ties=1, every_n=False)
# 3/n of 3e8 elements is a rate of 1e-8; 2,000 draws bound what a layer of ten outputs costs
FULL = Search(rows=32, draws=2000, elements=300_000_000, every_layer=True, ties=64, every_n=True)
SEARCHES = {"default": DEFAULT, "full": FULL}
"""By the value of ``--explain``."""

"""In which layer a difference starts, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import OUTLIER_FACTOR, beside, scaled
from isobatch.pipeline.explain.findings import Watched
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.user.results import NATURAL, BatchInvariance

SEED = 0
_LOCATED = 8  # examples that the origins are located on, at most, unless more are needed for a difference


@dataclass(frozen=True)
class Origin:
    """The layer whose rows depend on N most although its inputs do not, and how many others there are."""

    layer: str
    kind: str
    batch_sizes: tuple[int, ...]
    others: int

    def __str__(self) -> str:
        more = f"; {counted(self.others, 'further origin')}" if self.others else ""
        return f"{self.layer} ({self.kind}), at {sizes(self.batch_sizes)}{more}"


def main_origin(runner: Any, rows: NDArray[Any], result: BatchInvariance) -> Origin | None:
    """The origin of the largest difference; None where no layer replayed alone shows one.

    ``result``: what comparing this runner on these rows gave; layers are replayed at the N that differ, up to eight or
    the smallest.
    """
    differing = [one for one in result.batch_sizes if one.n_images_equal < one.n_images]
    if not differing or not isinstance(runner, Watched):
        return None
    smallest = differing[0].batch_size
    reach = [one.batch_size for one in differing if one.batch_size <= max(_LOCATED, smallest)]
    batch = rows[: reach[-1]].copy()
    if all(NATURAL not in one.seen for one in differing):  # an outlier may be what shows it
        batch = beside(batch, scaled(OUTLIER_FACTOR))
    found = locate(runner, batch, reach, SEED)
    if not found.origins:
        return None
    largest, *others = found.origins
    return Origin(largest.layer.name, largest.layer.kind, tuple(largest.batch_sizes), len(others))

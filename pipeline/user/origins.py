"""In which layer a difference starts, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import OUTLIER_FACTOR, beside, scaled
from isobatch.pipeline.explain.findings import LayerFinding, Watched
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.search_bounds import DEFAULT
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.user.results import NATURAL, BatchInvariance

SEED = 0
_OWN_ROWS = replace(DEFAULT, draws=0, ties=0)
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
    differing = _differing(result)
    if not differing or not isinstance(runner, Watched):
        return None
    reach = [n for n in differing if n <= max(_LOCATED, differing[0])]
    largest = locate(runner, _batch(rows, result, reach[-1]), reach, SEED).origins
    return _origin(largest[0], largest) if largest else None


def first_and_main(runner: Any, rows: NDArray[Any], result: BatchInvariance) -> tuple[Origin, Origin] | None:
    """The origin that runs first, and that of the largest difference; None where no layer replayed alone shows one.

    Quicker than ``main_origin``: at the smallest N that differs and one larger, on drawn rows and rounding ties only
    where the network's own rows show nothing.
    """
    differing = _differing(result)
    if not differing or not isinstance(runner, Watched):
        return None
    reach = sorted({differing[0], *(n for n in differing if n <= _LOCATED)})
    reach = sorted({reach[0], reach[-1]})
    batch = _batch(rows, result, reach[-1])
    for search in (_OWN_ROWS, DEFAULT):
        located = locate(runner, batch, reach, SEED, search)
        if located.origins:
            first = next(one for one in located.findings.values() if one.batch_sizes)
            return _origin(first, located.origins), _origin(located.origins[0], located.origins)
    return None


def _differing(result: BatchInvariance) -> list[int]:
    return [one.batch_size for one in result.batch_sizes if one.n_images_equal < one.n_images]


def _batch(rows: NDArray[Any], result: BatchInvariance, n: int) -> NDArray[Any]:
    batch = rows[:n].copy()
    if all(NATURAL not in one.seen for one in result.batch_sizes if one.seen):  # an outlier may be what shows it
        batch = beside(batch, scaled(OUTLIER_FACTOR))
    return batch


def _origin(one: LayerFinding, every: Sequence[LayerFinding]) -> Origin:
    return Origin(one.layer.name, one.layer.kind, tuple(one.batch_sizes), len(every) - 1)

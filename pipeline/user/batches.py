"""The batches in which an example's row is looked at, beside its call alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import LARGER, OUTLIER_FACTOR, beside, scaled
from isobatch.pipeline.user.results import NATURAL

Rows = NDArray[Any]


def batches(rows: Rows, n: int, probes: int) -> Iterator[tuple[str, list[int | None], Rows]]:
    """(surroundings, the example of each row or None for one that is not looked at, the batch).

    Every example is run, none twice in a batch: a last batch that the others leave incomplete begins earlier.
    ``probes``: 0 for no other surroundings, 1 for one of each kind, 2 for more.
    """
    starts = [*range(0, len(rows) - n + 1, n)]
    if len(rows) % n:
        starts.append(len(rows) - n)
    for start in starts:
        yield NATURAL, [*range(start, start + n)], rows[start : start + n].copy()
    if not probes:
        return
    first, last = [*range(n)], [*range(len(rows) - n, len(rows))]
    for by in sorted({n // 2, 1} if probes > 1 else {n // 2}):
        turned = [*np.roll(first, by)]
        yield "in another place of the batch", [int(i) for i in turned], rows[turned].copy()
    for factor in (OUTLIER_FACTOR, LARGER)[:probes]:
        outlier = scaled(factor)
        yield "beside an outlier", [*last[:-1], None], beside(rows[last], outlier)
        if probes > 1:
            yield "beside an outlier", [None, *first[:-1][::-1]], beside(rows[first], outlier)[::-1].copy()
    same = [n % len(rows)] * n
    yield "among copies of itself", list(same), rows[same].copy()

"""The question most test suites ask, at the tolerances of ``numpy.allclose`` and ``torch.allclose``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.rows import absolute_difference, blocks

RTOL, ATOL = 1e-5, 1e-8


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """``allclose``: |candidate - reference| <= ATOL + RTOL |reference| everywhere, in float64.

    Elements with equal bytes are close, NaN too; an infinity is close to itself only.
    """

    def close(part: slice) -> bool:
        apart = absolute_difference(reference[part], candidate[part])
        size = np.abs(reference[part].astype(np.float64))
        return bool(((apart == 0) | (np.isfinite(size) & (apart <= ATOL + RTOL * size))).all())

    return {"allclose": all(map(close, blocks(reference))), "allclose_tolerance": {"rtol": RTOL, "atol": ATOL}}


METRIC = Metric(measure)

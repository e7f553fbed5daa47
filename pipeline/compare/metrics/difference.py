"""|candidate - reference|: its largest value and its percentiles over images x classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.rows import absolute_difference, blocks, ratio

POINTS = (50, 85, 90, 95, 99, 100)


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """``max_abs``, in logits; ``max_abs_relative``: over the largest |logit| of the reference; ``percentiles``.

    NaN where an element cannot be subtracted. A difference from a reference that is all zero is inf, relatively.
    """
    differences = np.empty(reference.shape)
    largest = np.float64(0.0)
    for part in blocks(reference):
        differences[part] = absolute_difference(reference[part], candidate[part])
        largest = np.maximum(largest, np.abs(reference[part].astype(np.float64)).max())
    points = percentiles(differences.reshape(-1))
    max_abs = points[f"p{POINTS[-1]}"]
    return {"max_abs": max_abs, "max_abs_relative": ratio(max_abs, float(largest)), "percentiles": points}


def percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """The percentiles ``POINTS`` of float64 [n] by linear interpolation (Hyndman and Fan 1996, type 7).

    All NaN if any value is. Reorders ``values``: a copy of 50 million differences would cost 400 MB.
    """
    last = values.size - 1
    places = {point: divmod(point * last, 100) for point in POINTS}
    values.partition(sorted({index for low, _ in places.values() for index in (low, min(low + 1, last))}))
    if np.isnan(values[last]):
        return {f"p{point}": float("nan") for point in POINTS}
    named = {}
    for point, (low, rest) in places.items():
        start, end = float(values[low]), float(values[min(low + 1, last)])
        # Between two infinities, or at a place itself, subtracting would turn inf into NaN.
        named[f"p{point}"] = start if rest == 0 or start == end else start + (end - start) * (rest / 100)
    return named


METRIC = Metric(measure)

"""Distance in units in the last place of the candidate's type: how many representable values apart."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import blocks, same_bits

TINY = 1e-3
"""Elements below this share of the row's largest are left out: near zero, ULPs are many and mean nothing."""


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """``max_ulp``; ``ulp_at``: the reference value where it occurs; ``n_ulp_excluded``: differing elements left out.

    An element is left out where reference and candidate are both below ``TINY`` of the reference row's largest finite
    |value|. A reference of another float type (fp64) is rounded to the candidate's type first. Integer
    outputs: quantization steps, nothing left out. NaN where a side is NaN or only one is integer; inf where one is inf.
    """
    largest, at, excluded = -1.0, math.nan, 0
    for part in blocks(reference):
        first, second = reference[part], candidate[part]
        differs = ~same_bits(first, second)
        if not differs.any():
            continue
        counted = differs if _is_integer(second) else differs & ~_tiny(first, second)
        excluded += int(differs.sum() - counted.sum())
        if not counted.any():
            continue
        first = first[counted]
        distance = steps(first, second[counted])
        place = np.argmax(distance)  # the first NaN, where there is one
        if distance[place] > largest or math.isnan(distance[place]):
            largest, at = float(distance[place]), float(first[place])
        if math.isnan(largest):
            break
    counted_any = largest != -1.0
    return {
        "max_ulp": largest if counted_any else 0.0,
        "ulp_at": at if counted_any else None,
        "n_ulp_excluded": excluded,
    }


def steps(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.float64]:
    """The distance of each pair in representable values of the candidate's type, as float64 (exact up to 2^53).

    A float's bits below the sign are its rank from zero, so 0.0 and -0.0 are 0 apart and neighbours are 1 apart
    (Dawson, "Comparing Floating Point Numbers", 2012).
    """
    if _is_integer(reference) != _is_integer(candidate):
        return np.full(candidate.shape, np.nan)
    if _is_integer(candidate):
        low = np.minimum(reference, candidate).astype(np.int64).view(np.uint64)
        high = np.maximum(reference, candidate).astype(np.int64).view(np.uint64)
        return np.asarray((high - low).astype(np.float64))
    with np.errstate(over="ignore", under="ignore"):
        reference = reference.astype(candidate.dtype)
    (first, first_negative), (second, second_negative) = _rank(reference), _rank(candidate)
    apart = np.maximum(first, second) - np.minimum(first, second)
    distance = np.where(first_negative == second_negative, apart, first + second).astype(np.float64)
    left, other = reference.astype(np.float64), candidate.astype(np.float64)
    distance[np.isinf(left) ^ np.isinf(other)] = np.inf
    distance[np.isinf(left) & np.isinf(other) & (left != other)] = np.inf
    distance[(np.isnan(left) | np.isnan(other)) & ~same_bits(reference, candidate)] = np.nan
    return distance


def _rank(values: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    sign = np.uint64(1 << (values.dtype.itemsize * 8 - 1))
    whole = bits(values).astype(np.uint64)
    return whole & ~sign, (whole & sign) != 0


def _tiny(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.bool_]:
    first, second = np.abs(reference.astype(np.float64)), np.abs(candidate.astype(np.float64))
    largest = np.where(np.isfinite(first), first, 0.0).max(axis=1, keepdims=True)
    return np.asarray(np.maximum(first, second) < TINY * largest)


def _is_integer(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.integer))


METRIC = Metric(measure)

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.compare.metrics.difference import POINTS, measure, percentiles


def slow_percentile(values: list[float], point: int) -> float:
    """The obvious twin: sort, and go the right part of the way between two neighbours."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * point / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_are_those_of_the_slow_twin_and_of_numpy(values: list[float]) -> None:
    by_percent = percentiles(np.array(values))
    for point in POINTS:
        assert by_percent[f"p{point}"] == pytest.approx(slow_percentile(values, point), rel=1e-12, abs=1e-12)
        assert by_percent[f"p{point}"] == pytest.approx(float(np.percentile(values, point)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], {"p50": 5.0, "p99": 5.0, "p100": 5.0}),
        ([0.0, 10.0], {"p50": 5.0, "p85": 8.5, "p90": 9.0, "p100": 10.0}),
        (list(range(101)), {"p50": 50.0, "p85": 85.0, "p95": 95.0, "p99": 99.0, "p100": 100.0}),
        ([1.0, math.inf, math.inf], {"p50": math.inf, "p100": math.inf}),  # not NaN: inf - inf is never taken
        ([1.0, 2.0, math.inf], {"p50": 2.0, "p85": math.inf, "p100": math.inf}),
    ],
)
def test_hand_computed_percentiles(values: list[float], expected: dict[str, float]) -> None:
    by_percent = percentiles(np.array(values, dtype=np.float64))
    assert {point: by_percent[point] for point in expected} == pytest.approx(expected)


def test_one_nan_leaves_no_percentile() -> None:
    assert all(math.isnan(value) for value in percentiles(np.array([1.0, math.nan, 2.0])).values())


@pytest.mark.parametrize(
    ("dtype", "reference", "candidate", "max_abs", "relative"),
    [
        (np.float32, [1.0, -4.0], [1.0, -3.5], 0.5, 0.125),
        (np.float32, [0.0, 0.0], [0.0, 0.25], 0.25, math.inf),
        (np.float32, [0.0, 0.0], [0.0, -0.0], 0.0, 0.0),
        (np.float16, [60000.0, 1.0], [-60000.0, 1.0], 120000.0, 2.0),  # would overflow in fp16 itself
        (np.float64, [1e308, 1.0], [-1e308, 1.0], math.inf, math.inf),
        (np.float32, [math.inf, 1.0], [math.inf, 1.0], 0.0, 0.0),
        (np.float32, [1.0, 2.0], [math.inf, 2.0], math.inf, math.inf),
        (np.float32, [math.nan, 2.0], [math.nan, 3.0], 1.0, math.nan),  # of equal NaNs there is no difference
        (np.float32, [math.nan, 2.0], [1.0, 2.0], math.nan, math.nan),
        (ml_dtypes.bfloat16, [1.0, 256.0], [1.0, 258.0], 2.0, 2 / 256),
        (np.int8, [-128, 0], [127, 0], 255.0, 255 / 128),
    ],
)
def test_hand_computed_rows(
    dtype: Any, reference: list[float], candidate: list[float], max_abs: float, relative: float
) -> None:
    measures = measure(np.array([reference], dtype=dtype), np.array([candidate], dtype=dtype))
    np.testing.assert_equal([measures["max_abs"], measures["max_abs_relative"]], [max_abs, relative])


def test_the_same_infinity_in_two_types_is_no_difference() -> None:
    measures = measure(np.array([[math.inf, 2.0]]), np.array([[math.inf, 2.5]], dtype=np.float32))
    assert measures["max_abs"] == 0.5


def test_blocks_and_one_piece_agree() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(2300, 1000)).astype(np.float32)  # more than two blocks
    candidate = reference + rng.normal(size=reference.shape).astype(np.float32)
    apart = np.abs(candidate.astype(np.float64) - reference)
    measures = measure(reference, candidate)
    assert measures["max_abs"] == apart.max()
    assert measures["percentiles"] == pytest.approx({f"p{p}": float(np.percentile(apart, p)) for p in POINTS})

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics.ulp import measure, steps

F32, F16, F64, BF16 = np.float32, np.float16, np.float64, ml_dtypes.bfloat16


def slow_steps(start: Any, end: Any) -> int:
    """The obvious twin: walk from one value to the next until the other is reached; -0.0 and 0.0 are one place."""
    low, high = sorted((start, end))
    count = 0
    while low < high:
        low = np.nextafter(low, low.dtype.type(np.inf))
        count += 1
    return count


@pytest.mark.parametrize(
    ("dtype", "reference", "candidate", "expected"),
    [
        (F32, 1.0, 1.0 + 2**-23, 1),
        (F32, 1.0, 1.0 - 2**-24, 1),  # below a power of two the spacing halves
        (F32, 1.0, 2.0, 2**23),
        (F32, 0.0, -0.0, 0),
        (F32, 2.0**-149, -(2.0**-149), 2),  # across zero, subnormals on both sides
        (F64, 1.0, 1.0 + 2**-52, 1),
        (F64, -1.0, 1.0, 2 * 1023 * 2**52),  # more than 2^62: no 64-bit overflow
        (F16, 65504.0, 65504.0 - 32, 1),
        (F16, 65504.0, math.inf, math.inf),  # overflow is not "one step from the largest value"
        (F16, math.inf, -math.inf, math.inf),
        (F32, math.inf, math.inf, 0),
        (F32, math.nan, 1.0, math.nan),
        (F32, math.nan, math.nan, 0),
        (BF16, 1.0, 1.0 + 2**-7, 1),
        (BF16, -3.0, -3.0, 0),
        (np.int8, -128, 127, 255),
        (np.uint8, 3, 255, 252),
        (np.int64, -(2**62), 2**62, 2**63),
    ],
)
def test_hand_computed_steps(dtype: Any, reference: float, candidate: float, expected: float) -> None:
    pair = np.array([[reference]], dtype=dtype), np.array([[candidate]], dtype=dtype)
    np.testing.assert_equal(steps(*pair)[0, 0], float(expected))
    np.testing.assert_equal(steps(*reversed(pair))[0, 0], float(expected))


@given(st.floats(width=16, min_value=-2, max_value=2), st.integers(-300, 300))
def test_the_fast_distance_is_the_slow_walk(start: float, offset: int) -> None:
    one = np.float16(start)
    other = one
    for _ in range(abs(offset)):
        other = np.nextafter(other, np.float16(math.copysign(math.inf, offset)))
    expected = slow_steps(one, other)
    assert expected <= abs(offset)
    assert steps(np.array([[one]]), np.array([[other]]))[0, 0] == expected


def rows(values: list[list[float]], dtype: Any = F32) -> NDArray[Any]:
    return np.array(values, dtype=dtype)


def test_the_value_where_the_most_steps_occur_is_named() -> None:
    reference = rows([[1.0, 8.0], [4.0, 2.0]])
    candidate = reference.copy()
    candidate[0, 0] += F32(2**-23)
    candidate[1, 1] += F32(3 * 2**-22)
    assert measure(reference, candidate) == {"max_ulp": 3.0, "ulp_at": 2.0, "n_ulp_excluded": 0}


def test_tiny_elements_that_differ_are_left_out_and_counted() -> None:
    reference = rows([[1000.0, 0.5, 0.0, 1.5]])
    candidate = rows([[1000.0, 0.25, -0.9, 1.5]])
    assert measure(reference, candidate) == {"max_ulp": 0.0, "ulp_at": None, "n_ulp_excluded": 2}


def test_a_tiny_element_that_becomes_large_is_not_left_out() -> None:
    measures = measure(rows([[1000.0, 0.0]]), rows([[1000.0, 2.0]]))
    assert measures["ulp_at"] == 0.0
    assert measures["max_ulp"] == 2.0**30  # the rank of 2.0: exponent field 128, mantissa 0
    assert measures["n_ulp_excluded"] == 0


def test_an_infinity_in_a_row_does_not_make_the_others_tiny() -> None:
    measures = measure(rows([[math.inf, 1.0]]), rows([[math.inf, 1.0 + 2**-23]]))
    assert measures == {"max_ulp": 1.0, "ulp_at": 1.0, "n_ulp_excluded": 0}


def test_nan_on_one_side_has_no_distance() -> None:
    measures = measure(rows([[1.0, 5.0]]), rows([[math.nan, 5.0]]))
    assert math.isnan(measures["max_ulp"])  # type: ignore[arg-type]
    assert measures["ulp_at"] == 1.0


def test_integers_count_steps_and_leave_nothing_out() -> None:
    measures = measure(rows([[100, 0]], np.int8), rows([[100, 1]], np.int8))
    assert measures == {"max_ulp": 1.0, "ulp_at": 0.0, "n_ulp_excluded": 0}


def test_the_reference_is_rounded_to_the_candidates_type() -> None:
    reference = rows([[1.0 + 2**-40, 70000.0]], F64)
    assert measure(reference, rows([[1.0, 65504.0]], F16))["max_ulp"] == math.inf  # 70000 overflows fp16
    assert measure(reference[:, :1], rows([[1.0]], F16)) == {
        "max_ulp": 0.0,
        "ulp_at": 1.0 + 2**-40,
        "n_ulp_excluded": 0,
    }
    assert math.isnan(measure(reference, rows([[1, 2]], np.int8))["max_ulp"])  # type: ignore[arg-type]

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isobatch.pipeline.compare.metrics import allclose, counts


def test_bytes_are_counted_not_values() -> None:
    reference = np.array([[0.0, math.nan], [1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
    candidate = np.array([[-0.0, math.nan], [1.0, 2.0], [3.5, 4.5]], dtype=np.float32)
    assert counts.measure(reference, candidate) == {
        "n_elements": 6,
        "n_elements_differing": 3,
        "n_images_equal": 1,
        "bitwise_equal": False,
    }


def test_values_of_two_types_never_have_equal_bytes() -> None:
    assert counts.measure(np.ones((2, 2)), np.ones((2, 2), dtype=np.float32))["n_elements_differing"] == 4


@pytest.mark.parametrize(
    ("reference", "candidate", "close"),
    [
        (1.0, 1.0 + 0.9e-5, True),
        (1.0, 1.0 + 1.2e-5, False),
        (0.0, 0.9e-8, True),
        (0.0, 1.1e-8, False),
        (math.inf, math.inf, True),
        (math.inf, 1.0, False),  # inf <= rtol * inf would say yes
        (1.0, math.nan, False),
        (0.0, -0.0, True),
    ],
)
def test_hand_computed_closeness(reference: float, candidate: float, close: bool) -> None:
    assert allclose.measure(np.array([[reference]]), np.array([[candidate]]))["allclose"] is close


finite = st.floats(-1e3, 1e3, width=32)


@given(
    arrays(np.float32, (2, 3), elements=finite),
    arrays(np.float32, (2, 3), elements=st.floats(-(2**-7), 2**-7, width=32)),
)
def test_it_answers_as_numpy_does(reference: Any, noise: Any) -> None:
    candidate = reference + noise
    expected = np.allclose(candidate.astype(np.float64), reference.astype(np.float64))
    assert allclose.measure(reference, candidate)["allclose"] is bool(expected)

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.compare.metrics.relative import measure


@pytest.mark.parametrize(
    ("reference", "candidate", "relative_l2", "sqnr_db", "cosine_min"),
    [
        ([[3.0, 4.0]], [[3.0, 4.5]], 0.1, 20.0, 27 / (5 * math.hypot(3, 4.5))),
        ([[1.0, 0.0]], [[0.0, 1.0]], math.sqrt(2), -20 * math.log10(math.sqrt(2)), 0.0),
        ([[1.0, 0.0]], [[-1.0, 0.0]], 2.0, -20 * math.log10(2), -1.0),
        ([[0.0, 0.0]], [[-0.0, 0.0]], 0.0, math.inf, 1.0),
        ([[0.0, 0.0]], [[0.0, 1.0]], math.inf, -math.inf, math.nan),
        ([[1.0, 1.0]], [[math.inf, 1.0]], math.inf, -math.inf, math.nan),
        ([[math.nan, 1.0]], [[1.0, 1.0]], math.nan, math.nan, math.nan),
        ([[1e200, 0.0]], [[1e200, 1e190]], 1e-10, 200.0, 1.0),  # squares overflow
        ([[1.0, 0.0]], [[1.0, 1e-200]], 1e-200, 4000.0, 1.0),  # squares vanish: still not "equal"
        ([[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]], math.sqrt(8 / 5), -10 * math.log10(8 / 5), 0.0),
    ],
)
def test_hand_computed_rows(
    reference: list[list[float]], candidate: list[list[float]], relative_l2: float, sqnr_db: float, cosine_min: float
) -> None:
    measures: Any = measure(np.array(reference), np.array(candidate))
    expected = {"relative_l2": relative_l2, "sqnr_db": sqnr_db, "cosine_min": cosine_min}
    assert measures == pytest.approx(expected, rel=1e-9, abs=1e-250, nan_ok=True)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=8), st.floats(0.5, 1e6))
def test_scaling_both_sides_changes_nothing(values: list[float], scale: float) -> None:
    reference = np.array([values])
    candidate = reference + 0.125
    one, other = measure(reference, candidate), measure(reference * scale, candidate * scale)
    np.testing.assert_allclose(one["relative_l2"], other["relative_l2"], rtol=1e-9)  # type: ignore[arg-type]
    assert -1 <= one["cosine_min"] <= 1 or math.isnan(one["cosine_min"])  # type: ignore[operator, arg-type]


def test_many_blocks_are_one_norm() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(2300, 1000)).astype(np.float32)
    candidate = reference + rng.normal(size=reference.shape).astype(np.float32) * np.float32(1e-3)
    noise = np.linalg.norm(candidate.astype(np.float64) - reference)
    assert measure(reference, candidate)["relative_l2"] == pytest.approx(
        noise / np.linalg.norm(reference.astype(float))
    )

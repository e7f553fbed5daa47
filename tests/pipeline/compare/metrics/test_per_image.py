import math

import numpy as np
import pytest

from isobatch.pipeline.compare.metrics.per_image import measure

REFERENCE = np.array([[3.0, 4.0], [0.0, 10.0], [6.0, 8.0]])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ([[0, 0], [0, 0], [0, 0]], 0.0),
        ([[0, 5], [0, 1], [0, 2]], 0.2),  # 1, 0.1 and 0.2
        ([[0, 0], [0, 1], [0, 2]], 0.1),  # one very wrong image moves nothing
        ([[0, math.nan], [0, 0], [0, 0]], math.nan),
        ([[0, math.inf], [0, 0], [0, 0]], math.nan),
    ],
)
def test_the_error_of_the_middle_image(change: list[list[float]], expected: float) -> None:
    found = measure(REFERENCE, REFERENCE + np.array(change))["relative_error_median"]
    assert found == pytest.approx(expected, nan_ok=True)


def test_huge_and_tiny_values_keep_their_ratio_and_a_reference_of_zeros_has_none() -> None:
    assert measure(REFERENCE * 1e300, REFERENCE * 1.1e300)["relative_error_median"] == pytest.approx(0.1)
    assert measure(REFERENCE * 1e-300, REFERENCE * 1.1e-300)["relative_error_median"] == pytest.approx(0.1)
    assert math.isnan(measure(np.zeros((1, 2)), np.ones((1, 2)))["relative_error_median"])  # type: ignore[arg-type]

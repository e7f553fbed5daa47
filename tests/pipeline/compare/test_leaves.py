import numpy as np

from isobatch.models.spec.outcome import Leaf, Outcome
from isobatch.pipeline.compare.leaves import measure_leaves

SMALL, LARGE = Leaf("small", "float16", (2,), 0, 2), Leaf("large", "float32", (1,), 2, 3)
BOTH = Outcome("classes", 0, 2, leaves=(SMALL, LARGE))


def test_each_output_is_measured_in_its_own_type_and_scale() -> None:
    reference = np.array([[1.0, 2.0, 1000.0]], np.float32)
    candidate = np.array([[1.0, 2.0 + 2**-9, 1000.0]], np.float32)  # one step of float16 near 2
    measures = measure_leaves(reference, candidate, BOTH)
    small, large = measures["outputs"]
    assert (small.name, small.bitwise_equal, small.max_ulp, small.max_abs) == ("small", False, 1.0, 2**-9)
    assert (large.name, large.bitwise_equal, large.max_abs) == ("large", True, 0.0)
    assert measures["max_abs_relative"] == 2**-10  # of the output that it happened in, not of the larger one
    assert measures["max_ulp"] == 1.0 and not measures["bitwise_equal"] and measures["n_elements_differing"] == 1


def test_equal_rows_have_ideal_values() -> None:
    rows = np.array([[1.0, 2.0, 3.0]], np.float32)
    measures = measure_leaves(rows, rows.copy(), BOTH)
    assert measures["bitwise_equal"] and measures["max_ulp"] == 0.0 and measures["cosine_min"] == 1.0
    assert [output.bitwise_equal for output in measures["outputs"]] == [True, True]


def test_one_output_has_no_list_of_outputs() -> None:
    rows = np.array([[1.0, 2.0]], np.float32)
    assert "outputs" not in measure_leaves(rows, rows + 1, Outcome())

"""Every discovered plug-in keeps its contract."""

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models import variants
from isobatch.models.registry import all_variants
from isobatch.pipeline.compare.metrics import Metric, all_metrics, measure_all
from isobatch.pipeline.explain.causes import Cause, all_causes, explain_origin
from isobatch.pipeline.records.study import Comparison
from tests.pipeline.explain.causes.kernels import examined, last_bit

TYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.int32]
ROWS: dict[str, list[list[float]]] = {
    "ordinary": [[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]],
    "zeros": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "one class": [[1.0], [2.0]],
    "one image": [[1.0, -2.0, 3.0, 4.0, 5.0, 6.0, 7.0]],
}
SPECIAL = {
    "negative zero": [[-0.0, 1.0, -0.0], [0.0, -0.0, 0.0]],
    "infinite": [[math.inf, -math.inf, 3.0], [1.0, 2.0, math.inf]],
    "nan": [[math.nan, 1.0, 2.0], [math.nan, math.nan, math.nan]],
    "overflowing": [[6e4, -6e4, 6e4], [6e4, 6e4, 6e4]],
}
IDEAL = {
    "max_abs": 0.0,
    "max_abs_relative": 0.0,
    "percentiles": 0.0,
    "relative_error_median": 0.0,
    "relative_l2": 0.0,
    "sqnr_db": math.inf,
    "cosine_min": 1.0,
    "allclose": True,
    "max_ulp": 0.0,
    "ulp_at": None,
    "n_ulp_excluded": 0,
}
"""Of equal rows, whatever they hold, NaN and infinities too."""
WORDS = {
    "mechanism": {
        "rounding-order",
        "different-algorithm",
        "vector-tail",
        "requantization",
        "saturation",
        "dynamic-scale",
        "neighbour-leak",
        "wrong-row",
        "not-repeatable",
        "different-branch",
        "signed-zero",
    },
    "trigger": {"kernel-switch", "thread-partition", "cast"},
}
causes = pytest.mark.parametrize("cause", all_causes(), ids=lambda cause: cause.name)
metrics = pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.measure.__module__)


def arrays() -> list[Any]:
    made = [
        pytest.param(np.array(rows, dtype=t), id=f"{name}-{np.dtype(t)}") for t in TYPES for name, rows in ROWS.items()
    ]
    floats = TYPES[:4]
    return made + [
        pytest.param(np.array(rows, dtype=t), id=f"{name}-{np.dtype(t)}")
        for t in floats
        for name, rows in SPECIAL.items()
    ]


@metrics
@pytest.mark.parametrize("rows", arrays())
def test_equal_inputs_give_the_ideal_value_exactly(metric: Metric, rows: NDArray[Any]) -> None:
    values = metric.measure(rows, rows.copy())
    assert values == metric.of_equal(rows)
    for key, value in values.items():
        each = value.values() if isinstance(value, dict) else [value]
        assert key not in IDEAL or all(part == IDEAL[key] and type(part) is type(IDEAL[key]) for part in each), key


@metrics
def test_every_pair_has_a_defined_answer_and_inputs_are_left_alone(metric: Metric) -> None:
    for dtype in TYPES[:4]:
        family = [
            np.array(rows, dtype=dtype) for rows in (*ROWS.values(), *SPECIAL.values()) if np.shape(rows) == (2, 3)
        ]
        for reference, candidate in itertools.product(family, family):
            before = reference.tobytes(), candidate.tobytes()
            values = metric.measure(reference, candidate)
            assert values.keys() == metric.of_equal(reference).keys()
            assert (reference.tobytes(), candidate.tobytes()) == before
            for value in values.values():
                parts = value.values() if isinstance(value, dict) else [value]
                assert all(part is None or type(part) in (bool, int, float) for part in parts)


@metrics
def test_a_metric_documents_its_functions(metric: Metric) -> None:
    assert metric.measure.__doc__ and (metric.ideal is None or metric.ideal.__doc__)


def test_no_two_metrics_share_a_key_and_comparison_knows_them_all() -> None:
    rows = np.ones((2, 3), dtype=np.float32)
    keys = [key for metric in all_metrics() for key in metric.of_equal(rows)]
    assert len(keys) == len(set(keys))
    assert set(keys) <= Comparison.model_fields.keys()


def test_the_shortcut_for_equal_bytes_is_what_measuring_gives() -> None:
    rows = np.array([[1.0, math.nan], [-0.0, math.inf]], dtype=np.float32)
    measured = {key: value for metric in all_metrics() for key, value in metric.measure(rows, rows.copy()).items()}
    assert measure_all(rows, rows.copy()) == measured


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2, 0), (4,)])
def test_arrays_that_have_no_measure_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot measure"):
        measure_all(np.ones((2, 4)) if shape == (2, 3) else np.ones(shape), np.ones(shape))


@causes
def test_a_cause_asks_one_question_and_spells_out_both_answers(cause: Cause) -> None:
    assert cause.name in WORDS[cause.role]
    assert cause.question.endswith("?")
    said = (cause.question, cause.if_supported, cause.if_refuted)
    assert len(set(said)) == 3
    assert all(text and "\n" not in text for text in said) and cause.question[0].isupper()
    answers = cause.if_supported, cause.if_refuted
    assert not any(text.endswith(".") or text.startswith(("Yes", "No:")) for text in answers)


@causes
def test_a_cause_has_a_test_of_its_own(cause: Cause) -> None:
    name = f"test_{cause.name.replace('-', '_')}.py"
    assert (Path(__file__).parent / "pipeline" / "explain" / "causes" / name).is_file()


@causes
def test_a_layer_whose_rows_are_independent_is_given_no_cause(cause: Cause) -> None:
    explanation = explain_origin(examined(lambda rows: rows * 3), [cause])
    assert (explanation.mechanism, explanation.triggers) == ("unexplained", ())


def test_no_two_causes_share_a_name_or_a_place() -> None:
    assert (
        len({cause.name for cause in all_causes()}) == len({cause.order for cause in all_causes()}) == len(all_causes())
    )


def test_probing_leaves_the_rows_as_they_were() -> None:
    subject = examined(last_bit)
    before = [part.tobytes() for part in subject.inputs]
    explain_origin(subject)
    assert [part.tobytes() for part in subject.inputs] == before


def test_a_table_of_variants_without_a_family_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare.py").write_text("VARIANTS = ()\n")
    monkeypatch.setattr(variants, "__path__", [*variants.__path__, str(tmp_path)])
    with pytest.raises(TypeError, match=r"variants\.bare holds 0 objects of type Family"):
        all_variants.__wrapped__()
    del sys.modules[f"{variants.__name__}.bare"]

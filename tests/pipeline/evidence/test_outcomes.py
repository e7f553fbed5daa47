import numpy as np
import pytest

from isobatch.models.spec.outcome import Leaf, Outcome
from isobatch.pipeline.evidence.outcomes import changed, decided, outcome_margin

BINARY = Outcome("binary", threshold=0.5)
LABELS = Outcome("labels", threshold=0.5)
EMBEDDING = Outcome("embedding")


def f32(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("outcome", "before", "after", "expected"),
    [
        (Outcome(), [1, 2], [2, 1], True),
        (Outcome(), [1, 2], [1, 3], False),
        (Outcome("classes", 1, 3), [9, 1, 2], [0, 1, 2], False),  # another output's column
        (BINARY, [0.49], [0.51], True),
        (BINARY, [0.5], [0.4], False),  # at the threshold is not above it
        (LABELS, [0.9, 0.1], [0.6, 0.2], False),
        (LABELS, [0.9, 0.1], [0.9, 0.6], True),
        (Outcome("raw"), [0.0], [-0.0], True),
        (Outcome("raw"), [np.nan], [np.nan], False),
        (Outcome(), [np.inf, 0], [np.nan, 0], False),
    ],
)
def test_whether_an_outcome_changed(outcome: Outcome, before: list[float], after: list[float], expected: bool) -> None:
    assert changed(f32(before), f32(after), outcome).tolist() == [expected]


def test_an_embedding_changes_where_another_image_is_nearest() -> None:
    rows = f32([1, 0], [1, 0.1], [0, 1], [0.1, 1])
    assert not changed(rows, rows * 3, EMBEDDING).any()  # longer, in the same direction
    turned = rows.copy()
    turned[0] = [0.2, 1]
    assert changed(rows, turned, EMBEDDING).tolist() == [True, False, False, False]
    assert changed(rows[:1], turned[:1], EMBEDDING, rows, np.array([0])).tolist() == [True]


@pytest.mark.parametrize(
    ("outcome", "row", "margin"),
    [
        (Outcome(), [1, 4, 2], 2.0),
        (BINARY, [0.75], 0.5),
        (LABELS, [1, 0, 0.625], 0.25),
        (Outcome("raw"), [5], 0.0),
    ],
)
def test_margins(outcome: Outcome, row: list[float], margin: float) -> None:
    assert outcome_margin(f32(row), outcome).tolist() == [margin]


def test_an_embedding_keeps_its_neighbour_within_its_margin() -> None:
    draws = np.random.default_rng(0)
    rows = draws.standard_normal((12, 8)).astype(np.float32)
    margins = outcome_margin(rows, EMBEDDING)
    assert (margins > 0).all()
    for _ in range(50):
        noise = draws.uniform(-1, 1, rows.shape) * (margins[:, None] / 2) * 0.999
        moved = (rows + noise).astype(np.float32)
        assert not changed(rows, moved, EMBEDDING).any()


def test_only_classes_and_binary_can_be_compared_with_labels() -> None:
    assert decided(f32([0.4], [0.6]), BINARY).tolist() == [0, 1]
    with pytest.raises(ValueError, match="labels is no class"):
        decided(f32([0.4]), LABELS)


def test_an_outcome_survives_json() -> None:
    found = Outcome("labels", 2, 5, 0.5, (Leaf("a", "float32", (2,), 0, 2), Leaf("b", "float16", (3, 1), 2, 5)), "why")
    assert Outcome.of(found.to_json()) == found and Outcome.of(None) == Outcome()

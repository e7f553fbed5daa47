import tracemalloc

import numpy as np
import pytest

from isobatch.models.spec.outcome import Leaf, Outcome
from isobatch.pipeline.evidence.outcomes import Gallery, before_last, changed, decided, outcome_margin

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
    assert changed(rows[:1], turned[:1], EMBEDDING, Gallery(rows, np.array([0]))).tolist() == [True]


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
    outcome = Outcome(
        "labels", 2, 5, 0.5, (Leaf("a", "float32", (2,), 0, 2), Leaf("b", "float16", (3, 1), 2, 5)), "why"
    )
    assert Outcome.of(outcome.to_json()) == outcome and Outcome.of({}) == Outcome()


def test_margins_and_noise_are_those_before_a_softmax() -> None:
    logits = np.random.default_rng(0).uniform(-30, 30, (40, 6))
    moved = logits + np.random.default_rng(1).uniform(-1e-3, 1e-3, logits.shape)
    outcome = Outcome(through="Softmax")
    shares, other = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (logits, moved))
    shares = shares.astype(np.float32)
    assert outcome_margin(shares, outcome) == pytest.approx(outcome_margin(logits), rel=1e-5, abs=1e-5)
    noise = np.abs(before_last(other.astype(np.float32), outcome) - before_last(shares, outcome)).max(axis=1)
    assert (noise < 2.1e-3).all() and noise.max() > 1e-3  # a common shift of a row changes no share
    whole = np.array([[1.0, 0.0, 0.0]], np.float32)
    assert outcome_margin(whole, outcome)[0] == pytest.approx(-np.log(np.finfo(np.float32).tiny))


@pytest.mark.parametrize("kind", ["labels", "binary"])
def test_margins_are_those_before_a_sigmoid_as_far_as_float32_keeps_them(kind: str) -> None:
    outcome = Outcome(kind, threshold=0.5, through="Sigmoid")  # type: ignore[arg-type]
    logits = np.array([[0.25], [-3.0], [7.5], [40.0], [-90.0]])
    shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert outcome_margin(shares, outcome) == pytest.approx([0.5, 6, 15, 16, 16], rel=1e-4)
    assert np.isnan(before_last(np.array([[np.nan]], np.float32), outcome)).all()


def test_the_nearest_of_many_embeddings_takes_no_square_of_memory() -> None:
    rows = np.random.default_rng(0).standard_normal((4000, 2))
    moved = rows.copy()
    moved[3000] = -rows[3000]
    tracemalloc.start()
    turned = changed(rows, moved, EMBEDDING)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert turned[3000] and 0 < turned.sum() < 20
    assert peak < 4000 * 4000 * 8 / 2

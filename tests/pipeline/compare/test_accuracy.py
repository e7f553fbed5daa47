import numpy as np
import pytest

from isobatch.pipeline.compare.accuracy import accuracy, accuracy_drop, decide, look_sizes, stratified_order
from isobatch.pipeline.compare.statistics import drop_upper, rate_upper

LABELS = np.arange(400) % 10


def wrong_at(*images: int) -> np.ndarray:
    predicted = LABELS.copy()
    predicted[list(images)] += 1
    return predicted


def test_accuracy_carries_n_interval_and_what_it_was_taken_on() -> None:
    measured = accuracy(wrong_at(*range(40)), LABELS, "digits", 32)
    assert (measured.top1, measured.n, measured.inputs, measured.batch_size) == (0.9, 400, "digits", 32)
    assert measured.low95 < 0.9 < measured.high95
    assert (measured.low95, measured.high95) == pytest.approx((0.8663, 0.9276), abs=1e-4)


def test_the_drop_is_paired() -> None:
    drop = accuracy_drop(wrong_at(0, 1, 2), wrong_at(2, 3, 4, 5, 6), LABELS, None)
    assert (drop.only_reference_right, drop.only_variant_right) == (4, 2)
    assert drop.value == 2 / 400
    assert drop.upper95 == drop_upper(4, 2, 400)
    assert drop.decided is None


def test_limits_are_in_points() -> None:
    drop = accuracy_drop(wrong_at(), wrong_at(0, 1, 2), LABELS, 3.0)
    assert drop.decided == "met"
    undecided = decide(drop, 1.0)
    assert undecided.decided == "undecided"
    assert undecided.needed_n is not None and undecided.needed_n > 400
    assert decide(accuracy_drop(wrong_at(), wrong_at(*range(60)), LABELS, None), 3.0).decided == "not-met"


@pytest.mark.parametrize("predicted", [LABELS[:-1], LABELS[:, None], LABELS[:0]])
def test_a_prediction_for_every_label_is_required(predicted: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one of each"):
        accuracy(predicted, LABELS if len(predicted) else predicted, "digits", None)


@pytest.mark.parametrize(
    ("n", "looks"),
    [
        (16, (16,)),
        (100, (100,)),
        (124, (124,)),
        (125, (100, 125)),
        (400, (100, 200, 400)),
        (1797, (100, 200, 400, 1797)),
    ],
)
def test_looks_end_with_all(n: int, looks: tuple[int, ...]) -> None:
    assert look_sizes(n) == looks


def test_any_beginning_has_the_classes_in_their_proportions() -> None:
    labels = [0] * 200 + [1] * 100 + [2] * 100
    order = stratified_order(labels, seed=1)
    assert sorted(order.tolist()) == list(range(400)) and order.tolist() == stratified_order(labels, 1).tolist()
    for stop in (40, 100, 200):
        counts = np.bincount(np.asarray(labels)[order[:stop]], minlength=3)
        assert np.abs(counts - stop * np.array([0.5, 0.25, 0.25])).max() <= 1.5


def test_each_look_has_its_part_of_5_percent() -> None:
    labels, right = np.zeros(400, dtype=np.int64), np.zeros(400, dtype=np.int64)
    drop = accuracy_drop(right, right, labels, 2.0, looks=3)
    assert drop.upper95 == pytest.approx(1 - (0.05 / 6) ** (1 / 400))  # no discordant image: half of 5 % / 3 to a side
    assert (drop.decided, drop.looks) == ("met", 3)
    assert drop.upper95 > accuracy_drop(right, right, labels, 2.0).upper95
    lost = right.copy()
    lost[:14] = 1
    again = accuracy_drop(right[:100], lost[:100], labels[:100], 2.0, looks=3)
    assert again.decided == "not-met" and decide(again, 20.0).decided == "undecided"
    assert again.upper95 == pytest.approx(rate_upper(14, 100, 0.05 / 6))


def test_what_was_right_is_kept_in_the_drawn_order() -> None:
    assert accuracy(np.array([1, 2, 0]), np.array([1, 1, 0]), "a", 1).right == "101"

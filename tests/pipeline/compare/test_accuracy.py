import numpy as np
import pytest

from isobatch.pipeline.compare.accuracy import accuracy, accuracy_drop, decide
from isobatch.pipeline.compare.statistics import drop_upper

LABELS = np.arange(400) % 10


def wrong_at(*images: int) -> np.ndarray:
    predicted = LABELS.copy()
    predicted[list(images)] += 1
    return predicted


def test_accuracy_carries_n_interval_and_what_it_was_taken_on() -> None:
    found = accuracy(wrong_at(*range(40)), LABELS, "digits", 32)
    assert (found.top1, found.n, found.inputs, found.batch_size) == (0.9, 400, "digits", 32)
    assert found.low95 < 0.9 < found.high95
    assert (found.low95, found.high95) == pytest.approx((0.8663, 0.9276), abs=1e-4)


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

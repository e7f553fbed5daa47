"""The reference against the labels: chance, and the orders of classes that people have."""

from __future__ import annotations

import numpy as np
import pytest

from isobatch.pipeline.decide.baseline import check_baseline, least_top1


@pytest.mark.parametrize(
    ("classes", "least"), [(1000, 0.003), (10, 0.3), (9, 1 / 3), (4, 0.4375), (3, 0.5), (2, 0.625)]
)
def test_three_times_chance_or_a_quarter_of_the_way_where_that_is_too_much(classes: int, least: float) -> None:
    assert least_top1(classes) == pytest.approx(least)


def test_a_sound_reference_fails_nothing() -> None:
    labels = np.arange(360) % 12
    baseline = check_baseline("fp32", np.where(labels == 3, 4, labels), labels, 12)
    assert (baseline.failed, baseline.reasons, baseline.top1) == (None, [], 330 / 360)


@pytest.mark.parametrize(
    ("folders", "order", "says"),
    [
        (range(12), lambda k: sorted(map(str, range(12))).index(str(k)), "with the labels sorted as text"),
        (range(1, 13), lambda k: sorted(map(str, range(1, 13))).index(str(k)), "with the labels sorted as text"),
        (range(1, 12), lambda k: sorted(map(str, range(1, 13))).index(str(k)), "sorted as text among all classes"),
        (range(3, 10), lambda k: k - 1, "with the labels counted from one"),
        (range(10), lambda k: k + 1, "with the labels counted from minus one"),
        ((0, 4, 9, 10), (0, 4, 9, 10).index, "with the labels sorted as numbers"),
    ],
)
def test_another_order_that_explains_more_labels_is_named(folders: range, order: object, says: str) -> None:
    labels = np.repeat(np.array(folders), 30)
    predicted = np.array([order(int(label)) for label in labels])  # type: ignore[operator]
    baseline = check_baseline("ort-fp32", predicted, labels, 12)
    assert baseline.failed is not None and says in baseline.reasons[0]
    assert f"right on {len(labels)} of {len(labels)} images" in baseline.reasons[0]


def test_near_chance_without_a_known_order_names_the_preprocessing() -> None:
    labels = np.arange(400) % 10
    baseline = check_baseline("ort-fp32", np.zeros(400, dtype=np.int64), labels, 10)
    assert baseline.failed == "ort-fp32 itself is near chance: 10.0 % right on 400 labelled images of 10 classes"
    assert baseline.reasons[0].startswith("The preprocessing")
    of_arrays = check_baseline("ort-fp32", np.zeros(400, dtype=np.int64), labels, 10, pictures=False)
    assert of_arrays.reasons[0].startswith("The inputs") and "pixels" not in of_arrays.reasons[0]
    assert "another order of the classes (tried, and no better: counted from one" in baseline.reasons[1]


def test_few_images_accuse_nobody() -> None:
    labels = np.arange(5)
    assert check_baseline("fp32", np.array([0, 9, 9, 9, 9]), labels, 10).failed is None  # 1 of 5: at most 66 %

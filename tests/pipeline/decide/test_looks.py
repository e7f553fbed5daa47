"""Accuracy in steps: the looks, the order, and the level that each look has."""

from __future__ import annotations

import numpy as np
import pytest

from isobatch.pipeline.compare.accuracy import accuracy, accuracy_drop, decide
from isobatch.pipeline.compare.statistics import rate_upper
from isobatch.pipeline.decide.looks import look_sizes, stratified_order


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

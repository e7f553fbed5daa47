import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.compare.metrics.top import best, measure


def slow_best(row: list[float]) -> set[int]:
    """The obvious twin: sort classes by falling logit, then by number; NaN ranks as +inf."""
    order = sorted(range(len(row)), key=lambda c: (-math.inf if math.isnan(row[c]) else -row[c], c))
    return set(order[:5])


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, math.inf, -math.inf, math.nan]), min_size=1, max_size=12))
def test_the_five_best_are_those_of_the_slow_twin(row: list[float]) -> None:
    assert set(np.flatnonzero(best(np.array([row]))[0])) == slow_best(row)


@pytest.mark.parametrize(
    ("reference", "candidate", "flips", "changes"),
    [
        ([5, 4, 3, 2, 1, 0], [4, 5, 3, 2, 1, 0], 1, 0),  # order inside the five is not a change of the set
        ([5, 4, 3, 2, 1, 0], [5, 4, 3, 2, 0, 1], 0, 1),
        ([1, 1, 0, 0, 0, 0], [1, 1.5, 0, 0, 0, 0], 1, 0),  # a tie belongs to the lowest class: 0, then 1
        ([1, 1, 0, 0, 0, 0], [1.5, 1, 0, 0, 0, 0], 0, 0),
        ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], 1, 1),  # all tied: the five lowest classes
        ([1, 0], [0, 1], 1, 0),  # fewer than five classes: the set is always all
        ([5, math.nan, 3], [5, 4, 3], 1, 0),
    ],
)
def test_hand_computed_rows(reference: list[float], candidate: list[float], flips: int, changes: int) -> None:
    measures = measure(np.array([reference], dtype=np.float32), np.array([candidate], dtype=np.float32))
    assert (measures["top1_flips"], measures["top5_changes"]) == (flips, changes)


def test_no_flip_still_carries_a_bound() -> None:
    rows = np.eye(100, dtype=np.float32)
    assert measure(rows, rows)["top1_flip_upper95"] == pytest.approx(1 - 0.05 ** (1 / 100))

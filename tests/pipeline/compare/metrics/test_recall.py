import numpy as np
import pytest

from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.compare.metrics import measure_all
from isobatch.pipeline.compare.metrics.recall import ideal, measure

EMBEDDING = Outcome(kind="embedding")
ANGLES = np.deg2rad([0.0, 10.0, 30.0, 60.0])
ROWS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
"""Nearest by angle: of 0 degrees 10, of 10 degrees 0, of 30 degrees 10, of 60 degrees 30."""


@pytest.mark.parametrize(
    ("place", "degrees", "share"),
    [
        (2, 30.0, 1.0),
        (2, 46.0, 0.75),  # now 60 is nearer than 10
        (0, 4.0, 1.0),  # moved, and still nearest to 10
        (2, np.nan, 0.75),  # no angle: it ranks every image alike, the first first
    ],
)
def test_one_of_four_neighbours_moves(place: int, degrees: float, share: float) -> None:
    moved = ROWS.copy()
    moved[place] = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    assert measure(ROWS, moved, EMBEDDING) == {"recall_at_k": {"1": share}}


def test_the_length_of_a_row_does_not_matter_and_equal_rows_are_ideal() -> None:
    rows = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    assert measure(rows, 3 * rows, EMBEDDING) == ideal(rows, EMBEDDING) == {"recall_at_k": {"1": 1, "5": 1, "10": 1}}
    assert measure_all(rows, rows, EMBEDDING)["recall_at_k"] == {"1": 1, "5": 1, "10": 1}


def test_random_rows_keep_what_chance_keeps() -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 300, 8))
    found = measure(first, second, EMBEDDING)["recall_at_k"]
    assert isinstance(found, dict)
    assert found["10"] == pytest.approx(10 / 299, abs=0.02)  # in blocks of 256


def test_there_is_none_of_other_outcomes_nor_of_two_images() -> None:
    assert measure(ROWS, -ROWS)["recall_at_k"] is None
    assert ideal(ROWS)["recall_at_k"] is None
    assert measure(ROWS[:2], -ROWS[:2], EMBEDDING)["recall_at_k"] is None

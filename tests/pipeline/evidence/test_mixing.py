"""Whether neighbours move a row is seen for rows of every type, whatever of them reaches it."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.evidence.mixing import moved_by_neighbours, unsteady

Mix = Callable[[NDArray[Any]], NDArray[Any]]
TYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.uint8, np.bool_)
MIXES: dict[str, Mix] = {
    "the largest": lambda rows: rows.astype(np.float64).max(axis=0),
    "the sum": lambda rows: rows.astype(np.float64).sum(axis=0),
    "the next row": lambda rows: np.roll(rows, -1, axis=0).astype(np.float64),
    "the row before": lambda rows: np.roll(rows, 1, axis=0).astype(np.float64),
}


def rows_of(kind: Any, count: int) -> NDArray[Any]:
    drawn = np.random.default_rng(3).integers(0, 2 if kind is np.bool_ else 50, (count, 6))
    return drawn.astype(kind)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("mix", MIXES)
def test_a_leak_moves_a_row_and_rows_of_their_own_do_not(mix: str, kind: Any, count: int) -> None:
    rows = (rows_of(kind, count),)
    for victim in range(count):
        assert moved_by_neighbours(lambda given: (given[0].astype(np.float64) + MIXES[mix](given[0]),), rows, victim)
        assert not moved_by_neighbours(lambda given: (given[0].astype(np.float64) * 2,), rows, victim)


def test_fewer_rows_than_were_given_are_looked_at_as_far_as_they_go() -> None:
    rows = (rows_of(np.float32, 4),)
    assert moved_by_neighbours(lambda given: (given[0].sum(axis=0, keepdims=True),), rows, victim=2) == 6


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_complex_rows_are_moved_by_a_leak_and_repeat(kind: Any) -> None:
    rows = (rows_of(np.float32, 4),)
    assert moved_by_neighbours(lambda given: ((given[0] + 1j * given[0].sum(axis=0)).astype(kind),), rows)
    assert not moved_by_neighbours(lambda given: ((given[0] + 1j * given[0]).astype(kind),), rows)
    assert not unsteady(lambda given: (given[0].astype(kind),), rows)

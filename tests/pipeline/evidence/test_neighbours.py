from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.evidence.neighbours import REPLACEMENTS, beside, find_replacement
from isobatch.pipeline.records.study import NEIGHBOURS

BATCH = np.random.default_rng(3).standard_normal((3, 2, 4, 4), np.float32)


class Leaky:
    """Rows that take in the darkest pixel of the whole batch."""

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        return images.reshape(len(images), -1) + images.min()


def test_every_named_neighbour_has_a_replacement() -> None:
    assert {*REPLACEMENTS, "worst"} == set(NEIGHBOURS)


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_only_the_last_image_changes_and_the_batch_given_stays(name: str) -> None:
    before = BATCH.tobytes()
    changed = beside(BATCH, REPLACEMENTS[name])
    assert BATCH.tobytes() == before
    assert changed.dtype == np.float32
    assert changed[:-1].tobytes() == BATCH[:-1].tobytes()
    assert changed[-1].tobytes() != BATCH[-1].tobytes()
    assert changed.tobytes() == beside(BATCH, REPLACEMENTS[name]).tobytes()


def test_the_worst_found_moves_the_others_more_than_any_named_one() -> None:
    runner: Any = Leaky()
    worst = find_replacement("worst", runner, BATCH)
    plain = runner.run(BATCH)[:-1]
    moved = {name: np.abs(runner.run(beside(BATCH, one))[:-1] - plain).max() for name, one in REPLACEMENTS.items()}
    found = np.abs(runner.run(beside(BATCH, worst))[:-1] - plain).max()
    assert found >= max(moved.values())
    assert found > moved["zeros"]

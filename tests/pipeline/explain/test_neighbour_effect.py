"""The whole network's logits beside other images: only where an origin couples them, with the worst batch kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.explain.neighbour_effect import neighbour_effect
from tests.pipeline.explain.test_locate import SIZES, Planted

IMAGES = np.random.default_rng(3).standard_normal((4, 3, 2, 2)).astype(np.float32)


def scaled_by_the_batch(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    step = np.abs(rows).max() / np.float32(127)
    return np.rint(rows / step) * step


def effect(mechanism: str, folder: Path, runner: Planted) -> dict[str, Any] | None:
    return neighbour_effect(runner, [mechanism], IMAGES, SIZES, folder, "int8-dynamic", seed=1)


def test_the_worst_neighbours_are_kept_and_give_the_change_that_is_reported(tmp_path: Path) -> None:
    runner = Planted(scaled_by_the_batch)
    found = effect("dynamic-scale", tmp_path, runner)
    assert found is not None
    batch = np.load(tmp_path / found["example"])
    victim = found["victim"]
    alone, beside = runner.run(batch[victim : victim + 1])[0], runner.run(batch)[victim]
    assert batch[victim].tobytes() == IMAGES[victim].tobytes() and batch.shape == (found["batch_size"], 3, 2, 2)
    worst = found["seen"][-1]
    assert worst["change"] == max(one["change"] for one in found["seen"])
    assert worst["change"] == pytest.approx(float(np.abs(beside - alone).max()))
    assert worst["top1_moved"] == (alone.argmax() != beside.argmax())
    assert next(one["change"] for one in found["seen"] if one["what"] == "copies of itself") == 0


def test_no_other_mechanism_is_searched_for_neighbours_and_an_invariant_network_has_none(tmp_path: Path) -> None:
    assert effect("rounding-order", tmp_path, Planted(scaled_by_the_batch)) is None
    assert effect("dynamic-scale", tmp_path, Planted(lambda rows: rows)) is None
    assert not list(tmp_path.iterdir())

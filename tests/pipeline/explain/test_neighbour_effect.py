"""The whole network's logits beside other images: only where an origin couples them, with the worst batch kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.batches import batch_of
from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.explain.neighbour_effect import neighbour_effect
from isobatch.pipeline.records.study import NeighbourEffect
from tests.pipeline.explain.test_locate import SIZES, Planted

IMAGES = np.random.default_rng(3).standard_normal((4, 3, 2, 2)).astype(np.float32)


def scaled_by_the_batch(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    step = np.abs(rows).max() / np.float32(127)
    return np.rint(rows / step) * step


def effect(mechanism: str, folder: Path, runner: Planted) -> NeighbourEffect | None:
    return neighbour_effect(runner, [mechanism], IMAGES, SIZES, folder, "int8-dynamic", seed=1)


def test_the_worst_neighbours_are_kept_and_give_the_change_that_is_reported(tmp_path: Path) -> None:
    runner = Planted(scaled_by_the_batch)
    told = effect("dynamic-scale", tmp_path, runner)
    assert told is not None
    batch = np.load(tmp_path / told.example)
    victim = told.victim
    alone, beside = runner.run(batch[victim : victim + 1])[0], runner.run(batch)[victim]
    assert batch[victim].tobytes() == IMAGES[victim].tobytes() and batch.shape == (told.batch_size, 3, 2, 2)
    worst = told.seen[-1]
    assert worst.change == max(neighbour.change for neighbour in told.seen)
    assert worst.change == pytest.approx(float(np.abs(beside - alone).max()))
    assert worst.top1_moved == (alone.argmax() != beside.argmax())
    assert next(neighbour.change for neighbour in told.seen if neighbour.what == "copies of itself") == 0


def test_no_other_mechanism_is_searched_for_neighbours_and_an_invariant_network_has_none(tmp_path: Path) -> None:
    assert effect("rounding-order", tmp_path, Planted(scaled_by_the_batch)) is None
    assert effect("dynamic-scale", tmp_path, Planted(lambda rows: rows)) is None
    assert not list(tmp_path.iterdir())


class Several:
    """Rows of numbers that look up a table, switches, pixels and floats, in steps of the batch's largest value."""

    kinds: ClassVar = [("ids", np.int64, (3,)), ("on", np.bool_, (3,)), ("pixels", np.uint8, (3,)), ("x", "f4", (3,))]

    def batch(self, count: int) -> NDArray[Any]:
        draws = np.random.default_rng(5)
        rows = np.zeros(count, self.kinds)
        rows["ids"], rows["on"] = draws.integers(0, 4, (count, 3)), draws.integers(0, 2, (count, 3))
        rows["pixels"], rows["x"] = draws.integers(0, 256, (count, 3)), draws.standard_normal((count, 3))
        return rows

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        table = np.array([1.0, 2.5, -1.25, 0.5], np.float32)
        looked_up = table[batch["ids"]] * batch["on"]  # IndexError for a number beyond the table
        rows = looked_up + batch["pixels"].astype(np.float32) / np.float32(64) + batch["x"]
        return scaled_by_the_batch(np.asarray(rows, np.float32))


def test_inputs_of_every_kind_keep_values_that_they_may_have(tmp_path: Path) -> None:
    network = Several()
    batch = network.batch(4)
    told = neighbour_effect(network, ["dynamic-scale"], batch, SIZES, tmp_path, "ort-int8-dynamic", seed=1)  # type: ignore[arg-type]
    assert told is not None and told.example.endswith("-worst.npz") and told.seen[-1].change > 0
    kept = np.load(tmp_path / told.example)
    worst = batch_of({name: kept[name] for name, *_ in network.kinds})
    victim = told.victim
    assert worst[victim].tobytes() == batch[victim].tobytes()
    assert {str(kept[name].dtype) for name, *_ in network.kinds} == {"int64", "bool", "uint8", "float32"}
    apart = np.abs(network.run(worst)[victim] - network.run(worst[victim : victim + 1])[0]).max()
    assert told.seen[-1].change == pytest.approx(float(apart))


def test_whether_the_answer_moved_follows_the_outcome(tmp_path: Path) -> None:
    runner = Planted(scaled_by_the_batch)
    raw = neighbour_effect(runner, ["dynamic-scale"], IMAGES, SIZES, tmp_path, "v", 1, Outcome("raw"))
    assert raw is not None and all(neighbour.top1_moved == (neighbour.change > 0) for neighbour in raw.seen)

"""The survey of a repair against the slower twin, ``locate``; and what a scope of every N costs."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.findings import LayerFinding
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.repair.ladder import climb
from isobatch.pipeline.repair.layers import asking_elsewhere, survey, survey_images
from isobatch.pipeline.repair.records import best
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.shapes import measure_layer, telling_rows
from isobatch.pipeline.repair.verify import (
    OutOfTime,
    Scope,
    command_sizes,
    every_size,
    study_sizes,
    time_ratios,
    verify,
)
from isobatch.pipeline.storage.files import write_bytes
from tests.pipeline.explain.test_locate import Planted, Step, last_bit

SECOND = Layer("second", "linear", "linear")


def stored(folder: Path, count: int, side: int = 2) -> Images:
    folder.mkdir(exist_ok=True)
    values = np.random.Generator(np.random.PCG64(1)).standard_normal((count, 3, side, side)).astype("<f4")
    return Images("drawn", str(folder / "i"), "float32", values.shape, write_bytes(folder / "i", [values.tobytes()]))


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return stored(tmp_path, 12)


def by_batch(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """A scale taken from the whole batch."""
    return np.asarray(rows / np.abs(rows).max(), np.float32)


@pytest.mark.parametrize(
    "middle",
    [last_bit, lambda rows: last_bit(rows, 3), lambda rows: last_bit(rows, 9), by_batch, lambda rows: rows * 2],
)
def test_the_survey_accuses_whom_the_slow_twin_accuses(middle: Step, images: Images) -> None:
    sizes = range(2, 13)
    told: list[int] = []
    slow = locate(Planted(middle), images.read(0, 12), list(sizes), seed=7)
    quick, shapes = survey(Planted(middle), images.read(0, 12), 12, 7, told.append)
    assert {name: finding.batch_sizes for name, finding in quick.findings.items()} == {
        name: finding.batch_sizes for name, finding in slow.findings.items()
    }
    assert shapes.keys() == ({"linear"} if slow.findings["second"].batch_sizes else set())
    assert abs(sum(told) - survey_images(12)) <= 1


def test_classes_are_those_of_rows_compared_pair_by_pair(images: Images) -> None:
    def steps(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        kernel = 0 if len(rows) in (1, 4, 5) else 1 if len(rows) < 9 else 2
        return rows + np.float32(kernel)

    rows, seen = telling_rows((images.read(0, 6).reshape(6, -1),), np.random.default_rng(0)), LayerFinding(SECOND)
    shapes = measure_layer(Planted(steps), seen, rows, 12, 0)
    assert sorted(map(sorted, shapes.classes)) == [[1, 4, 5], [2, 3, 6, 7, 8], [9, 10, 11, 12]]
    assert seen.batch_sizes == [2, 3, 6, 7, 8, 9, 10, 11, 12]
    seconds = [shapes.seconds[n] for n in range(1, 13)]
    assert seconds == sorted(seconds)


def test_telling_rows_stand_beside_larger_ones() -> None:
    inputs: Rows = (np.array([[4.0], [1.0], [2.0]], np.float32), np.arange(3, dtype=np.uint8).reshape(3, 1))
    values, codes = telling_rows(inputs, np.random.default_rng(0))
    assert values[::2, 0].tolist() == [1.0, 2.0, 4.0] and codes[::2, 0].tolist() == [1, 2, 0]
    assert values.shape == codes.shape == (6, 1)


def test_a_repair_over_every_n_from_what_the_survey_saw(images: Images) -> None:
    runner, sizes = Planted(lambda rows: last_bit(rows, 5)), tuple(range(2, 13))
    located, shapes = survey(runner, images.read(0, 12), 12, 7, lambda count: None)
    bench = Bench(runner, 1, images.read(0, 12), sizes, located, shapes)
    timed = command_sizes(12, sizes)
    scope = Scope([images], sizes, {}, passes=every_size, stop_at_first=True, timed_sizes=timed, least=2)
    best_attempt = best(climb(bench, scope, math.inf, ["surgical"]), "throughput")
    assert best_attempt is not None and best_attempt.verified[0].differing.keys() == {*sizes}
    assert best_attempt.ratios.keys() == {1, 2, 8, 12}


@pytest.mark.parametrize(("guilty", "asked"), [({12, 27}, False), ({27}, True), ({27, 48}, True), ({48}, True)])
def test_images_of_other_sizes_are_asked_where_the_origins_of_the_first_do_not_suffice(
    guilty: set[int], asked: bool, tmp_path: Path
) -> None:
    """``guilty``: the pixels of an image (of 2, 3 and 4 on a side) with which the layer depends on N."""
    sets = [stored(tmp_path / str(side), 4, side) for side in (2, 3, 4)]
    runner = Planted(lambda rows: last_bit(rows) if rows.shape[1] in guilty else rows)
    bench = Bench(runner, 1, sets[0].read(0, 4), (2, 3, 4), *survey(runner, sets[0].read(0, 4), 4, 7, lambda n: None))
    said: list[str] = []
    scope = Scope(sets, (2, 3, 4), {}, stop_at_first=True, say=said.append)
    tried = climb(asking_elsewhere(bench, scope, 7, lambda: None), scope, math.inf, ["surgical"])
    assert any(text.startswith("looking at every layer") for text in said) is asked
    (found,) = (attempt for attempt in tried if attempt.holds and attempt.candidate)
    assert found.candidate is not None and {*found.candidate.layers} == {"second", "twin"}
    assert bool(bench.located.findings["second"].batch_sizes) is (12 in guilty)  # what was known stays as it was


def test_what_there_was_no_time_for_says_so(images: Images) -> None:
    def paid_by_the_call(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(0.01)  # so that one image at a time is no cheap repair, whatever else runs here
        return last_bit(rows)

    runner = Planted(paid_by_the_call)
    located, shapes = survey(runner, images.read(0, 12), 4, 7, lambda count: None)
    bench = Bench(runner, 1, images.read(0, 4), (2, 3, 4), located, shapes)
    tried = climb(bench, Scope([images], (2, 3, 4), {}), -1.0, ["surgical", "pin-shape"])
    assert [(attempt.name, attempt.out_of_time, attempt.holds) for attempt in tried] == [
        ("surgical", False, True),  # proves the list of origins, whatever the time for repairs
        ("surgical", True, None),
        ("pin-shape", True, None),
    ]
    over = Scope([images], [2], {}, deadline=time.monotonic() - 1)
    with pytest.raises(OutOfTime):
        verify(runner, runner, images, over)
    assert time_ratios(runner, runner, over, [1, 2]) == {}


@pytest.mark.parametrize(("n_images", "sizes"), [(12, range(1, 13)), (4, range(1, 33)), (16, (2, 3, 16)), (5, (2,))])
def test_a_scope_of_every_n_runs_each_once(n_images: int, sizes: Sequence[int]) -> None:
    passes = every_size(n_images, sizes)
    tested = [n for n in sizes if 1 < n <= n_images]
    assert [one_pass.batch_size for one_pass in passes if one_pass.kind == "batched"] == tested
    assert {one_pass.kind for one_pass in passes} == {"singles", "batched", "position", "neighbours"}
    for one_pass in passes:
        assert (
            one_pass.start >= 0
            and one_pass.stop <= n_images
            and (one_pass.stop - one_pass.start) % one_pass.batch_size == 0
        )
        assert one_pass.kind != "position" or one_pass.rotation % one_pass.batch_size
    assert len({one_pass.id for one_pass in passes}) == len(passes)


@pytest.mark.parametrize(
    ("n_images", "sizes", "expected"),
    [
        (16, (2, 3, 4, 8, 16), [1, 8, 16]),
        (32, range(2, 33), [1, 8, 16, 32]),
        (12, range(2, 33), [1, 8, 12]),
        (4, (2, 4), [1, 4]),
        (32, (2, 10, 20), [1, 10, 20]),
    ],
)
def test_a_price_is_measured_at_few_n(n_images: int, sizes: Sequence[int], expected: list[int]) -> None:
    assert study_sizes(n_images, sizes) == expected


def test_a_class_in_which_the_place_of_a_row_decides_is_not_padded_to(images: Images) -> None:
    """As where a kernel works on blocks of rows, and on those left over in another order."""

    def blocks(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        left_over = (np.arange(len(rows)) % 4 == 3) | (len(rows) == 1)
        return np.where(left_over[:, None], np.nextafter(rows, np.float32(np.inf)), rows)

    rows = telling_rows((images.read(0, 6).reshape(6, -1),), np.random.default_rng(0))
    shapes = measure_layer(Planted(blocks), LayerFinding(SECOND), rows, 8, 0)
    assert sorted(map(sorted, shapes.classes)) == [[1], [2, 3, 4, 5, 6, 7, 8]] and shapes.placed == {*range(2, 9)}
    assert [rule.least for rule in shapes.rules()] == [1]
    assert shapes.merged(shapes).placed == shapes.placed

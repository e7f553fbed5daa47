import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from torch import nn

from isobatch.models.spec.runner import Canonical
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.repair.ladder import attempts, climb
from isobatch.pipeline.repair.records import best, objective_cost, repair_records
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung, all_rungs
from isobatch.pipeline.repair.shapes import Shapes, best_rules, measure_shapes
from isobatch.pipeline.repair.verify import Scope
from isobatch.pipeline.user.asked import Examples
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels, with_planted

IMAGES = pixels(4)
SIZES = (2, 3, 4)


def scope(**more: Any) -> Scope:
    return Scope([Examples("drawn", IMAGES)], SIZES, {}, **more)  # type: ignore[list-item]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with opened(with_planted(OneUlpWhenBatched())) as runner:
        located = locate(runner, IMAGES, list(SIZES), 0)
        shapes = measure_shapes(runner, located, IMAGES, 4, 0)
        yield Bench(runner, 2, IMAGES, SIZES, located, shapes)


def test_every_rung_of_the_method_is_there_in_order() -> None:
    assert [rung.name for rung in all_rungs()] == [
        "per-sample-scale", "static-scale", "determinism-switch", "one-graph",
        "surgical", "pow2-scale", "one-thread", "pin-shape", "streams", "recheck",
    ]  # fmt: skip
    for rung in all_rungs():
        assert rung.question.endswith("?") and rung.apply.__doc__


@pytest.mark.parametrize("rung", all_rungs(), ids=lambda rung: rung.name)
def test_a_rung_keeps_its_contract_on_a_live_network(rung: Rung, bench: Bench) -> None:
    """It says why not, or each candidate is run; the native network is what it was, and what it says can be stored."""
    before = bench.runner.run(IMAGES).tobytes()
    tried = climb(bench, scope(), math.inf, [rung.name])
    assert tried and bench.runner.run(IMAGES).tobytes() == before
    for attempt in attempts(tried):
        assert attempt.why if attempt.holds is None else attempt.verified
    (record,) = repair_records(attempts(tried))
    assert record.name == rung.name and record.note
    assert record.batch_invariant is not False or "hold" not in record.note  # that word stands before the note
    expected = {"surgical": True, "pin-shape": True, "streams": True, "one-thread": False, "recheck": False}
    assert record.batch_invariant is expected.get(rung.name)
    assert record.top1_stable is (True if rung.name == "recheck" else None)
    assert (record.batch_invariant is True) == (record.latency_ratio != {} and record.top1_stable is None)


def test_a_rung_that_breaks_is_said_to_fail_one_without_work_not_to_apply_and_the_next_is_tried(bench: Bench) -> None:
    def breaks(bench: Bench) -> Iterator[Candidate]:
        raise RuntimeError("two\nlines")

    idle = Rung(1, "?", lambda bench: "it has no activation scales", breaks, "idle")
    rungs = [Rung(0, "Does it?", lambda bench: "", breaks, "broken"), idle, *all_rungs()]
    tried = climb(bench, scope(), math.inf, ["broken", "idle", "surgical"], rungs)
    chosen = best(tried, "throughput")
    assert chosen is not None and chosen.name == "surgical"
    broken, without_work, _ = repair_records(attempts(tried))
    assert (broken.state, broken.note) == ("fails", "RuntimeError: two lines")
    assert (without_work.state, without_work.batch_invariant) == ("does-not-apply", None)


def test_classes_of_n_are_measured_on_the_layer_itself(bench: Bench) -> None:
    (signature,) = bench.shapes
    assert sorted(map(sorted, bench.shapes[signature].classes)) == [[1], [2, 3, 4]]
    assert bench.shapes[signature].seconds.keys() == {1, 2, 3, 4}


def shapes(*classes: set[int], seconds: Any = lambda n: 1.0 + n, alone_only: bool = False) -> Shapes:
    sizes = sorted(set().union(*classes))
    return Shapes(tuple(map(frozenset, classes)), {n: seconds(n) for n in sizes}, alone_only)


@pytest.mark.parametrize(
    ("found", "alone", "together"),
    [
        # all of one class: native calls up to the largest N seen
        (shapes({*range(1, 9)}), Canonical(8, 8, 1), Canonical(8, 8, 1)),
        # batches cost no more when cut: no rival is looked for
        (shapes({1, 2, 3, 4}, {5, 6, 7, 8}, seconds=lambda n: n), Canonical(4, 4, 1), Canonical(4, 4, 1)),
        # single images are a class of their own: cutting costs batches, padding costs single images
        (shapes({1}, {*range(2, 9)}), Canonical(1, 1, 1), Canonical(8, 8, 2)),
        # rounding ties tell nothing of classes without N = 1
        (shapes({1}, {*range(2, 9)}, alone_only=True), Canonical(1, 1, 1), Canonical(1, 1, 1)),
    ],
)
def test_a_single_image_never_pays_unless_batches_gain(found: Shapes, alone: Canonical, together: Canonical) -> None:
    assert best_rules(found, [2, 4, 8]) == (alone, together)


def test_the_cost_of_a_rule_counts_its_calls_and_their_padding() -> None:
    layer_shapes = shapes({*range(1, 9)}, seconds=float)
    assert layer_shapes.cost(Canonical(size=8, up_to=8, least=2), 1) == 2.0
    assert layer_shapes.cost(Canonical(size=4, up_to=4, least=3), 5) == (4 + 3) / 5
    assert layer_shapes.cost(Canonical(size=2, up_to=2), 8) == 1.0


def test_classes_at_two_thread_counts_hold_at_both() -> None:
    both = shapes({1, 2, 3}, {4}).merged(shapes({1, 2}, {3, 4}))
    assert sorted(map(sorted, both.classes)) == [[1, 2], [3], [4]]


def test_recheck_runs_again_only_what_the_batch_could_have_turned() -> None:
    from isobatch.pipeline.repair.rungs.recheck import Rechecked

    class Fake:
        def run(self, images: Any) -> Any:
            return np.stack([images[:, 0] + (0.1 if len(images) > 1 else 0), images[:, 1]], axis=1)

    rows = np.array([[1.0, 1.05], [5.0, 1.0], [np.nan, 1.0]])
    runner = Rechecked(Fake(), margin=0.2)  # type: ignore[arg-type]
    assert runner.run(rows).argmax(axis=1)[:2].tolist() == [1, 0]
    assert (runner.images, runner.recomputed) == (3, 2)


def test_padding_small_batches_keeps_the_class_of_the_large_ones() -> None:
    net = with_planted(OneUlpWhenBatched())
    with opened(net) as runner:
        runner.watch(IMAGES[:1], lambda layer, inputs, outputs: None)
        repaired = runner.with_canonical({"1": Canonical(size=4, up_to=4, least=2)})
        batched = runner.run(IMAGES)
        for n in range(1, 5):
            assert repaired.run(IMAGES[:n]).tobytes() == batched[:n].tobytes()
    assert isinstance(net, nn.Module)


@pytest.mark.parametrize(
    ("ratios", "objective", "cost"),
    [
        ({1: [1.0], 8: [2.0]}, "throughput", 2.0),
        ({1: [1.1], 2: [1.0], 8: [4.0]}, "throughput", 2.0),
        ({1: [2.2], 8: [1.0]}, "throughput", 2.0),  # the single image pays for the batch
        ({1: [1.5, 1.0, 9.0], 8: [1.0]}, "latency", 1.5),
        ({1: [1.5]}, "throughput", 1.5),
        ({}, "throughput", math.inf),
    ],
)
def test_the_cost_of_a_repair(ratios: dict[int, list[float]], objective: str, cost: float) -> None:
    assert objective_cost(ratios, objective) == pytest.approx(cost)

"""Origins planted in a small numpy network: found at the right layer, never accused elsewhere, repaired and proved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Canonical, Layer, Rows
from isobatch.models.spec.words import Effective
from isobatch.pipeline.explain.findings import LayerFinding, Located
from isobatch.pipeline.explain.locate import compare_rows, locate
from isobatch.pipeline.explain.search_bounds import DEFAULT, FULL, Search
from isobatch.pipeline.repair.ladder import Tried, climb
from isobatch.pipeline.repair.records import best
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.verify import Scope
from isobatch.pipeline.storage.files import write_bytes

SIZES = [2, 3, 4]
Step = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def last_bit(rows: NDArray[np.float32], above: int = 1) -> NDArray[np.float32]:
    """Rows moved by one unit in the last place when more than ``above`` come together."""
    return np.nextafter(rows, np.float32(np.inf)) if len(rows) > above else rows


class Planted:
    """Three layers in a row; the middle one may depend on N, the others only pass its difference on."""

    def __init__(self, middle: Step, rules: Mapping[str, Canonical] | None = None) -> None:
        self.middle = middle
        self.rules = dict(rules or {})
        steps: list[tuple[str, str, str, Step]] = [
            ("first", "scale", "scale", lambda rows: rows * np.float32(3)),
            ("second", "linear", "linear", middle),
            ("twin", "linear", "linear", lambda rows: rows + np.float32(1)),  # a sibling that happens not to differ
            ("last", "relu", "relu", lambda rows: np.maximum(rows, np.float32(0))),
        ]
        self.steps = {name: (Layer(name, kind, signature), step) for name, kind, signature, step in steps}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        return self.watch(images, lambda *_: None)

    def effective(self) -> Effective:
        return Effective("fp32", "numpy", 0, 3)

    def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
        rows = images.reshape(len(images), -1)
        for layer, _ in self.steps.values():
            made = self._step(layer.name, rows)
            see(layer, (rows.copy(),), (made.copy(),))
            rows = made
        return rows

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return (self._step(layer, inputs[0]),)

    def _step(self, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        step = self.steps[name][1]
        rule = self.rules.get(name)
        if rule is None or len(rows) <= rule.up_to:
            return step(rows)
        return np.concatenate([step(rows[i : i + rule.size]) for i in range(0, len(rows), rule.size)])

    def with_canonical(self, rules: Mapping[str, Canonical]) -> Planted:
        return Planted(self.middle, rules)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    values = np.random.Generator(np.random.PCG64(1)).standard_normal((4, 3, 2, 2)).astype("<f4")
    sha256 = write_bytes(tmp_path / "images", [values.tobytes()])
    return Images("drawn", str(tmp_path / "images"), "float32", (4, 3, 2, 2), sha256)


def test_the_planted_layer_and_its_sibling_are_found_and_no_carrier(images: Images) -> None:
    located = locate(Planted(last_bit), images.read(0, 4), SIZES, seed=7)
    guilty = {name: f for name, f in located.findings.items() if f.batch_sizes}
    assert list(guilty) == ["second", "twin"]
    assert guilty["second"].found_by == "captured"
    assert guilty["second"].max_ulp == 1
    assert guilty["second"].batch_sizes == SIZES
    assert guilty["twin"].found_by == "sibling"
    assert located.instrumented_bitwise_equal
    assert [layer for layer, largest, *_ in located.growth if largest > 0] == ["second", "twin", "last"]


def test_an_invariant_network_is_never_accused(images: Images) -> None:
    for seed in range(50):
        located = locate(Planted(lambda rows: rows * np.float32(0.1)), images.read(0, 4), SIZES, seed)
        assert not any(f.batch_sizes for f in located.findings.values())


def test_a_difference_above_a_threshold_gives_the_widest_safe_shape(images: Images) -> None:
    located = locate(Planted(lambda rows: last_bit(rows, above=3)), images.read(0, 4), SIZES, seed=7)
    assert located.findings["second"].batch_sizes == [4]
    assert located.findings["second"].rule() == Canonical(size=2, up_to=3)


def test_a_rare_difference_that_one_draw_misses_is_found_by_a_longer_search(images: Images) -> None:
    def rarely(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(rows.view(np.uint32) % 1024 == 0, last_bit(rows), rows)

    longer = Search(rows=4, draws=256, elements=10**6, every_layer=True, ties=1, every_n=True)
    by_search = {
        search: locate(Planted(rarely), images.read(0, 4), SIZES, 7, search).findings["second"]
        for search in (DEFAULT, longer)
    }
    assert not by_search[DEFAULT].batch_sizes and by_search[longer].batch_sizes
    assert by_search[longer].found_by == "drawn" and by_search[longer].tried > 2 * by_search[DEFAULT].tried


def test_a_longer_search_tries_every_layer_on_as_many_elements_as_it_says(images: Images) -> None:
    told: list[None] = []
    longer = Search(rows=4, draws=1000, elements=5000, every_layer=True, ties=1, every_n=True)
    located = locate(Planted(lambda rows: rows), images.read(0, 4), SIZES, 7, longer, lambda: told.append(None))
    assert all(5000 <= finding.tried < 6000 for finding in located.findings.values()) and len(told) > 100


def test_which_n_are_tried_and_how_many_images_captured() -> None:
    assert (DEFAULT.captured((2, 8, 16), 20), DEFAULT.batch_sizes((2, 8, 16), 8)) == (8, [2, 8])
    assert (FULL.captured((2, 8, 16), 20), FULL.batch_sizes((2, 4), 4)) == (16, [2, 3, 4])
    assert (DEFAULT.captured((16, 32), 4), DEFAULT.captured((), 20)) == (4, 8)
    assert DEFAULT.batch_sizes((16, 32), 8) == [8]


def surgical(runner: Planted, located: Located, images: Images) -> list[Tried]:
    bench = Bench(runner, 1, images.read(0, 4), tuple(SIZES), located)
    return climb(bench, Scope([images], SIZES, {}), math.inf, ["surgical"])


@pytest.mark.parametrize("above", [1, 2, 3])
def test_the_repair_of_the_origins_holds_and_is_priced(images: Images, above: int) -> None:
    runner = Planted(lambda rows: last_bit(rows, above))
    located = locate(runner, images.read(0, 4), SIZES, seed=7)
    best_attempt = best(surgical(runner, located, images), "throughput")
    assert best_attempt is not None and best_attempt.candidate is not None
    assert best_attempt.holds and best_attempt.verified[0].singles_as_native
    assert set(best_attempt.candidate.layers) == {"second", "twin"}
    assert set(best_attempt.ratios) == {1, 4}


def test_a_difference_that_no_layer_shows_alone_is_not_repaired(images: Images) -> None:
    class Leaky(Planted):
        def watch(self, images: NDArray[np.float32], see: Callable[[Layer, Rows, Rows], None]) -> NDArray[Any]:
            return last_bit(super().watch(images, see))  # outside of every layer

        def with_canonical(self, rules: Mapping[str, Canonical]) -> Planted:
            return Leaky(self.middle, rules)

    runner = Leaky(lambda rows: rows)
    located = locate(runner, images.read(0, 4), SIZES, seed=7)
    tried = surgical(runner, located, images)
    assert tried and best(tried, "throughput") is None
    assert all(finding.holds is False and not finding.ratios for finding in tried)


def test_classes_say_which_n_agree_with_one_another(images: Images) -> None:
    """One value alone, a second for two and three rows, a third from four on."""

    def steps(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return last_bit(last_bit(rows, above=1), above=3)

    located = locate(Planted(steps), images.read(0, 4), SIZES, seed=7)
    second, twin = located.findings["second"], located.findings["twin"]
    assert second.classes == [[1], [2, 3], [4]] == twin.classes and twin.found_by == "sibling"
    assert located.findings["last"].classes == [[1, 2, 3, 4]]


def test_the_largest_difference_is_named_first(images: Images) -> None:
    class Two(Planted):
        def __init__(self) -> None:
            super().__init__(last_bit)
            large = Layer("last", "relu", "relu"), lambda rows: rows * np.float32(1 + 0.1 * (len(rows) > 1))
            self.steps["last"] = large

    located = locate(Two(), images.read(0, 4), SIZES, seed=7)
    assert [origin.layer.name for origin in located.origins] == ["last", "second", "twin"]


class _Counting:
    """A layer whose second row and later ones depend on a batch of more than four; it counts the rows it was given."""

    def __init__(self) -> None:
        self.alone = 0

    def replay(self, layer: str, inputs: Rows) -> Rows:
        (rows,) = inputs
        self.alone += len(rows) == 1
        made = rows * np.float32(2)
        if len(rows) > 4:
            made[1:] += np.float32(1)
        return (np.repeat(made, 3, axis=0),)  # three entries of each row


def test_rows_that_come_again_are_replayed_alone_once_and_told_as_if_each_were() -> None:
    few = np.arange(12, dtype=np.float32).reshape(3, 4)
    again = few[np.arange(8) % 3]
    told = []
    for distinct, alone in ((None, 8), (3, 3)):
        runner: Any = _Counting()
        finding = LayerFinding(Layer("here", "linear", "one"))
        compare_rows(runner, finding, (again,), None, range(2, 9), "drawn", distinct)
        assert runner.alone == alone
        told.append((finding.differing, finding.tried, finding.classes))
    assert told[0] == told[1]
    assert told[0][0] == {2: 0, 3: 0, 4: 0, 5: 48, 6: 60, 7: 72, 8: 84}

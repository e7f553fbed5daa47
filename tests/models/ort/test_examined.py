"""Interventions at the layers of an onnxruntime graph."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest
from onnx import helper

from isobatch.models.ort.examined import ExaminedGraphRunner
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.spec.interventions import Logged, Probed, Threaded, Widened
from isobatch.models.spec.runner import Rows
from tests.models.ort.small_onnx import classifier, pixels
from tests.models.ort.test_layers import graph


class _Runner(ExaminedGraphRunner):
    def __init__(self, model: object = None) -> None:
        self.model = model or classifier()

    @cached_property
    def _watched(self) -> WatchedGraph:
        return WatchedGraph(self.model, threads=2)  # type: ignore[arg-type]

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return self._watched.replay(layer, inputs)

    def captured(self, count: int) -> dict[str, tuple[Rows, Rows]]:
        seen: dict[str, tuple[Rows, Rows]] = {}
        self._watched.watch(pixels(count), lambda layer, i, o: seen.__setitem__(layer.name, (i, o)))
        return seen


@pytest.fixture(scope="module")
def runner() -> _Runner:
    return _Runner()


def test_it_offers_what_the_interventions_ask_for(runner: _Runner) -> None:
    assert all(isinstance(runner, protocol) for protocol in (Widened, Probed, Logged, Threaded))


def test_its_own_operands_give_the_bytes_of_a_replay(runner: _Runner) -> None:
    seen = runner.captured(3)
    for name in ("a", "b", "c", "fc"):
        inputs, outputs = seen[name]
        products = runner.products(name)
        assert products is not None
        computed = runner.with_operands(name, inputs, products.weight, products.bias)
        assert computed[0].tobytes() == outputs[0].tobytes()
        zeros = runner.with_operands(name, inputs, np.zeros_like(products.weight), products.bias)[0]
        assert products.bias is not None
        assert (np.moveaxis(zeros, 1, -1) == products.bias).all()
        assert runner.replay(name, inputs)[0].tobytes() == outputs[0].tobytes()
    assert [runner.products(name) for name in ("a_act", "sum", "pool")] == [None] * 3


def test_a_weight_stored_by_inputs_is_turned_round() -> None:
    square = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pool"], "pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "w"], ["logits"], "fc"),
    ]
    runner = _Runner(graph(nodes, {"w": square}, [24, 32]))
    inputs, outputs = runner.captured(2)["fc"]
    products = runner.products("fc")
    assert products is not None and products.bias is None and (products.weight == square.T).all()
    assert runner.with_operands("fc", inputs, products.weight, None)[0].tobytes() == outputs[0].tobytes()


def test_float64_is_the_same_operation(runner: _Runner) -> None:
    for name, (inputs, outputs) in runner.captured(2).items():
        (wide,) = runner.widened(name, inputs, "float64")
        assert wide.dtype == np.float64
        assert np.abs(wide - outputs[0]).max() < 1e-4, name


def test_integers_have_no_wider_form(runner: _Runner) -> None:
    with pytest.raises(NotImplementedError, match="integers"):
        runner.widened("a_act", (np.zeros((1, 8, 2, 2), np.uint8),), "float64")


def test_operators_are_named_and_one_thread_ends_with_the_block(runner: _Runner) -> None:
    inputs, outputs = runner.captured(2)["fc"]
    assert runner.kernels("fc", inputs) == ("onnxruntime Gemm",)
    with runner.one_thread():
        assert runner._watched._threads == 1
        assert runner.replay("fc", inputs)[0].shape == outputs[0].shape
    assert runner._watched._threads == 2

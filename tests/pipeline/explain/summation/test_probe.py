"""The order of a planted convolution, at whole and at cut windows, and of channels that add up in their own way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Products
from isobatch.models.spec.runner import Rows
from isobatch.pipeline.explain.summation import probe as order_probe
from isobatch.pipeline.explain.summation.probe import OrderProbe, operands_at, summands, whole_windows
from isobatch.pipeline.explain.summation.tree import Tree
from tests.pipeline.explain.causes.rounding import BF16, forwards, in_blocks
from tests.pipeline.explain.summation.trees import tree_of

INPUTS, OUTPUTS, SIDE = 4, 6, 5


def chain(parts: list[Any]) -> Tree:
    total = parts[0]
    for part in parts[1:]:
        total = [total, part]
    return tree_of(total, len(parts))


class PlantedConvolution:
    """A 3 x 3 convolution of two groups with padding; the last ``tail`` channels add up in blocks, others forwards."""

    def __init__(self, dtype: Any = np.float32, tail: int = 0, stride: int = 1) -> None:
        draws = np.random.default_rng(0)
        self.tail = tail
        weight = draws.standard_normal((OUTPUTS, INPUTS // 2, 3, 3)).astype(dtype)
        bias = draws.standard_normal(OUTPUTS).astype(dtype)
        self.known = Products(weight, bias, (stride, stride), (1, 1), (1, 1), groups=2)
        self.inputs: Rows = (draws.standard_normal((2, INPUTS, SIDE, SIDE)).astype(dtype),)

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        products = Products(weight, bias, self.known.stride, (1, 1), (1, 1), groups=2)
        side = -(-SIDE // self.known.stride[0])
        shape = (len(inputs[0]), OUTPUTS, side, side)
        elements = list(np.ndindex(shape))
        x, w, b = operands_at(products, inputs, elements)
        assert b is not None
        sums = forwards(x, w)
        if self.tail:
            blocked = np.array([element[1] >= OUTPUTS - self.tail for element in elements])
            sums = np.where(blocked, in_blocks(x, w), sums)
        return ((sums + b).astype(weight.dtype).reshape(shape),)

    def probe(self, count: int = 2) -> OrderProbe:
        return OrderProbe(self, "conv", self.known, self.inputs, count, seed=0)


def exact(planted: PlantedConvolution, element: tuple[int, ...]) -> float:
    """An output element by plain loops in float64."""
    image, channel, row, column = element
    weight, (stride, _) = planted.known.weight, planted.known.stride
    total = float(planted.known.bias[channel])  # type: ignore[index]
    for c in range(INPUTS // 2):
        for dy in range(3):
            for dx in range(3):
                y, x = row * stride + dy - 1, column * stride + dx - 1
                if 0 <= y < SIDE and 0 <= x < SIDE:
                    source = c + channel // (OUTPUTS // 2) * (INPUTS // 2)
                    total += float(weight[channel, c, dy, dx]) * float(planted.inputs[0][image, source, y, x])
    return total


@pytest.mark.parametrize("stride", [1, 2])
def test_operands_are_those_of_the_convolution(stride: int) -> None:
    planted = PlantedConvolution(stride=stride)
    elements = [(0, 0, 0, 0), (1, 5, 2, 1), (1, 3, 1, 2)]
    x, w, bias = operands_at(planted.known, planted.inputs, elements)
    assert bias is not None
    sums = (x.astype(np.float64) * w).sum(axis=0) + bias
    assert np.allclose(sums, [exact(planted, element) for element in elements], rtol=1e-12)


def test_a_window_at_the_border_has_fewer_summands() -> None:
    planted = PlantedConvolution()
    assert len(summands(planted.known, planted.inputs, (0, 0, 2, 2))) == 19
    assert summands(planted.known, planted.inputs, (0, 0, 0, 0)).tolist() == [4, 5, 7, 8, 13, 14, 16, 17, 18]
    outputs = planted.with_operands("conv", planted.inputs, planted.known.weight, planted.known.bias)[0]
    inside = whole_windows(planted.known, planted.inputs, outputs)
    assert inside.shape == outputs.shape
    for element in np.ndindex(outputs.shape):
        assert inside[element] == (len(summands(planted.known, planted.inputs, element)) == 19)


@pytest.mark.parametrize("dtype", [np.float32, BF16, np.float16])
@pytest.mark.parametrize(("element", "count"), [((1, 2, 2, 2), 19), ((0, 4, 0, 0), 9)])
def test_the_planted_order_is_found(dtype: Any, element: tuple[int, ...], count: int) -> None:
    order = PlantedConvolution(dtype).probe().at(element)
    assert order.tree == chain(list(range(count)))
    assert order.channels.tolist() == list(range(OUTPUTS))


def test_bfloat16_is_counted_through_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {**order_probe.SCALES, "bfloat16": replace(order_probe.SCALES["bfloat16"], window=4)}
    monkeypatch.setattr(order_probe, "SCALES", few)
    assert PlantedConvolution(BF16).probe().at((0, 0, 2, 2)).tree == chain(list(range(19)))


def test_channels_that_add_up_in_another_way_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    first = PlantedConvolution(tail=2).probe().at((0, 1, 2, 2))
    assert first.channels.tolist() == [0, 1, 2, 3] and first.tree == chain(list(range(19)))
    last = PlantedConvolution(tail=1).probe().at((0, 5, 2, 2))
    assert last.channels.tolist() == [5] and last.tree is not None and last.tree != first.tree
    monkeypatch.setattr(order_probe, "_MOST_CALLS", 10)
    few = PlantedConvolution(tail=1).probe().at((0, 5, 2, 2))
    assert few.tree is None and not few.asked and few.why.startswith("only 1 channel of 6 add up alike")


def test_the_last_batch_row_may_be_asked_too() -> None:
    assert PlantedConvolution().probe(count=2).at((1, 0, 1, 1)).tree == chain(list(range(19)))


def test_of_too_many_summands_runs_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {**order_probe.SCALES, "bfloat16": replace(order_probe.SCALES["bfloat16"], most=16)}
    monkeypatch.setattr(order_probe, "SCALES", few)
    planted = PlantedConvolution(BF16)
    asked = order_probe.asked_summands(planted.known, planted.inputs, (0, 0, 2, 2))
    assert len(asked) <= 16 and asked[-1] == 18 and (np.diff(asked) > 0).all()
    assert planted.probe().at((0, 0, 2, 2)).tree == chain(list(range(len(asked))))

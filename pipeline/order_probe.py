"""In which order the real kernel of a layer adds up, at its real shape: masks in the weights, ones everywhere else.

Every output channel holds a mask of its own, so that one call answers for as many pairs of summands as there are
channels. Before that, a few pairs are asked of all channels at once: those that answer differently add up in another
order (the tail of a tile, say), and only channels like the one that is asked for are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.spec import Products, Rows
from pipeline.summation_tree import NotATree, Pairs, Tree, mismatches, random_pairs, reveal


@dataclass(frozen=True)
class _Scale:
    """What masks work in a type: ``mask`` swallows each ``unit`` that meets it; up to ``window`` of these count exactly.

    bfloat16 counts to 256 and float16 to 2048 in its result, so units stand only inside of a window of so many at a
    time; float16's mask must stay below 65504, so its units are its smallest number.
    """

    mask: float
    unit: float
    window: int


_SCALES = {
    "float64": _Scale(2.0**80, 1.0, 2**50),
    "float32": _Scale(2.0**40, 1.0, 2**22),
    "bfloat16": _Scale(2.0**40, 1.0, 2**8),
    "float16": _Scale(2.0**15, 2.0**-24, 2**11),
}
_FEW = 4  # pairs asked of all channels at once
_FEWEST = 4  # channels alike, below which a probe would take too many calls
Element = tuple[int, ...]
"""An output element: its row, then its place in the row."""


@dataclass(frozen=True)
class Order:
    """The order of additions at one output element, and the channels that share it at this place.

    ``tree`` is None where there is no plain tree; ``why`` says how that showed.
    """

    tree: Tree | None
    channels: NDArray[np.int64]
    why: str = ""


class OrderProbe:
    """Masks for one layer with ``products``, run as ``count`` rows like the ``inputs``."""

    def __init__(self, runner: Any, layer: str, products: Products, inputs: Rows, count: int, seed: int) -> None:
        self._runner = runner
        self._layer = layer
        self._products = products
        self._scale = _SCALES[products.weight.dtype.name]
        first, *others = inputs
        ones = np.ones((count, *first.shape[1:]), first.dtype)
        self._inputs = (ones, *(np.zeros((count, *part.shape[1:]), part.dtype) for part in others))
        self._factors = products.weight[0].size
        self.count = self._factors + (products.bias is not None)
        """Summands: the products, then the bias, if there is one."""
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def at(self, element: Element) -> Order:
        """The order at this element, whose window must lie wholly inside of the input."""
        axis = channel_axis(self._products)
        channel = element[axis]
        outputs = len(self._products.weight)
        answers = []
        for pair in random_pairs(self.count, _FEW, self._generator):
            pairs = np.repeat(pair[None], outputs, axis=0)
            answers.append(self._asked(pairs, np.arange(outputs), element))
        by_channel = np.stack(answers, axis=1)
        alike = np.flatnonzero((by_channel == by_channel[channel]).all(axis=1))
        if len(alike) < _FEWEST:
            return Order(None, alike, f"only {len(alike)} channels answer alike")

        def sizes(pairs: Pairs) -> NDArray[np.float64]:
            parts = [pairs[start : start + len(alike)] for start in range(0, len(pairs), len(alike))]
            return np.concatenate([self._asked(part, alike[: len(part)], element) for part in parts])

        try:
            tree = reveal(self.count, sizes)
            checked = random_pairs(self.count, len(alike), self._generator)
            if wrong := mismatches(tree, checked, sizes):
                raise NotATree(f"{wrong} of {len(checked)} further pairs contradict the tree found")
        except NotATree as error:
            return Order(None, alike, str(error))
        return Order(tree, alike)

    def _asked(self, pairs: Pairs, channels: NDArray[np.int64], element: Element) -> NDArray[np.float64]:
        """The size of the smallest subtree with both summands, one pair in each of these channels."""
        swallowed = np.zeros(len(pairs))
        for start in range(0, self.count, self._scale.window):
            stop = min(start + self._scale.window, self.count)
            operands = np.zeros((len(self._products.weight), self.count), self._products.weight.dtype)
            operands[:, start:stop] = self._scale.unit
            operands[channels, pairs[:, 0]] = self._scale.mask
            operands[channels, pairs[:, 1]] = -self._scale.mask
            result = self._run(operands)
            units = (stop - start) - ((pairs >= start) & (pairs < stop)).sum(axis=1)
            swallowed += units - _at(result, element, channel_axis(self._products), channels) / self._scale.unit
        return swallowed + 2

    def _run(self, operands: NDArray[Any]) -> NDArray[Any]:
        weight = self._products.weight
        bias = self._products.bias
        outputs: Rows = self._runner.with_operands(
            self._layer,
            self._inputs,
            operands[:, : self._factors].reshape(weight.shape),
            None if bias is None else operands[:, -1].astype(bias.dtype),
        )
        return outputs[0]


def channel_axis(products: Products) -> int:
    """The axis of an output on which its channels are."""
    return 1 if products.weight.ndim > 2 else -1


def whole_windows(products: Products, inputs: Rows, outputs: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask, broadcastable to the outputs, of the places whose window lies wholly inside of the input."""
    inside = np.ones((1,) * outputs.ndim, np.bool_)
    for axis, (stride, padding, dilation) in enumerate(
        zip(products.stride, products.padding, products.dilation, strict=True), 2
    ):
        start = np.arange(outputs.shape[axis]) * stride - padding
        reach = (products.weight.shape[axis] - 1) * dilation
        fits = (start >= 0) & (start + reach < inputs[0].shape[axis])
        inside = inside & fits.reshape((-1,) + (1,) * (outputs.ndim - axis - 1))
    return inside


def operands_at(
    products: Products, inputs: Rows, elements: list[Element]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """(x, w, bias): the factors [products, elements] of these output elements as float32, and their biases."""
    axis = channel_axis(products)
    x, w = [], []
    for element in elements:
        channel = element[axis]
        if axis == -1:
            window = inputs[0][element[:-1]]
        else:
            group = products.weight.shape[1]
            first = channel // (len(products.weight) // products.groups) * group
            spans: list[Any] = [
                slice(at * stride - padding, at * stride - padding + size * dilation, dilation)
                for at, stride, padding, dilation, size in zip(
                    element[2:],
                    products.stride,
                    products.padding,
                    products.dilation,
                    products.weight.shape[2:],
                    strict=True,
                )
            ]
            place: tuple[Any, ...] = (element[0], slice(first, first + group), *spans)
            window = inputs[0][place]
        x.append(window.reshape(-1).astype(np.float32))
        w.append(products.weight[channel].reshape(-1).astype(np.float32))
    channels = [element[axis] for element in elements]
    bias = None if products.bias is None else products.bias[channels].astype(np.float32)
    return np.stack(x, axis=1), np.stack(w, axis=1), bias


def _at(result: NDArray[Any], element: Element, axis: int, channels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values of these channels at the place of ``element``, as float64."""
    place: list[Any] = list(element)
    place[axis] = channels
    return np.asarray(result[tuple(place)], np.float64)

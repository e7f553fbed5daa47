"""In which order the real kernel of a layer adds up, at its real shape: masks in the weights, ones everywhere else.

Every output channel holds a mask of its own, so that one call answers for as many pairs of summands as there are
channels. Before that, a few pairs are asked of all channels at once: those that answer differently add up in another
order (the tail of a tile, say), and only channels like the one that is asked for are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Products
from isobatch.models.spec.runner import Rows
from isobatch.pipeline.explain.summation.tree import NotATree, Pairs, Tree, mismatches, random_pairs, reveal
from isobatch.pipeline.records.wording import counted


@dataclass(frozen=True)
class _Scale:
    """The masks of a type.

    bfloat16 counts to 256 and float16 to 2048 in its result, so units stand only inside of a window of so many at a
    time; float16's mask must stay below 65504, so its units are its smallest number.
    """

    mask: float  # swallows each unit that meets it
    unit: float
    window: int  # so many units count exactly
    most: int  # summands that are asked for, lest the windows take too many calls; all others are set to 0 then


SCALES = {
    "float32": _Scale(2.0**40, 1.0, 2**22, 2**22),
    "bfloat16": _Scale(2.0**40, 1.0, 2**8, 2**10),
    "float16": _Scale(2.0**15, 2.0**-24, 2**11, 2**12),
}
"""By type of the weight; other types cannot be probed."""
_FEW = 4  # pairs asked of all channels at once
_RUNS = 8  # in which those summands stand, spread evenly, that are asked for where not all are
_MOST_CALLS = 128  # for one question about every summand
Element = tuple[int, ...]
"""An output element: its row, then its place in the row."""


@dataclass(frozen=True)
class Order:
    """The order of additions at one output element, and the channels that share it at this place."""

    tree: Tree | None  # None where there is no plain tree
    channels: NDArray[np.int64]
    why: str = ""  # how it showed that there is no plain tree
    asked: bool = True  # False: nothing was found out


class OrderProbe:
    """Masks for one layer with ``products``, run as ``count`` rows like the ``inputs``."""

    def __init__(self, runner: Any, layer: str, products: Products, inputs: Rows, count: int, seed: int) -> None:
        self._runner = runner
        self._layer = layer
        self._products = products
        self._scale = SCALES[products.weight.dtype.name]
        first, *others = inputs
        ones = np.ones((count, *first.shape[1:]), first.dtype)
        self._inputs = (ones, *(np.zeros((count, *part.shape[1:]), part.dtype) for part in others))
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def at(self, element: Element) -> Order:
        """The order at this element, over its ``asked_summands``."""
        places = asked_summands(self._products, self._inputs, element)
        count, outputs = len(places), len(self._products.weight)
        if count < 2:
            return Order(None, np.arange(outputs), f"it has {counted(count, 'summand')}", asked=False)
        every = [np.repeat(pair[None], outputs, axis=0) for pair in random_pairs(count, _FEW, self._generator)]
        answers = np.stack([self._asked(pairs, np.arange(outputs), element, places) for pairs in every], axis=1)
        alike = np.flatnonzero((answers == answers[element[channel_axis(self._products)]]).all(axis=1))
        if count > _MOST_CALLS * len(alike):
            why = f"only {counted(len(alike), 'channel')} of {outputs} add up alike, too few to ask for all summands"
            return Order(None, alike, why, asked=False)

        def sizes(pairs: Pairs) -> NDArray[np.float64]:
            parts = [pairs[start : start + len(alike)] for start in range(0, len(pairs), len(alike))]
            return np.concatenate([self._asked(part, alike[: len(part)], element, places) for part in parts])

        try:
            tree = reveal(count, sizes)
            checked = random_pairs(count, len(alike), self._generator)
            if wrong := mismatches(tree, checked, sizes):
                raise NotATree(f"{wrong} of {len(checked)} further pairs contradict the tree found")
        except NotATree as error:
            return Order(None, alike, str(error))
        return Order(tree, alike)

    def _asked(
        self, pairs: Pairs, channels: NDArray[np.int64], element: Element, places: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The size of the smallest subtree with both of these ``places``, one pair in each of these channels."""
        products, scale = self._products, self._scale
        factors = products.weight[0].size
        swallowed = np.zeros(len(pairs))
        for start in range(0, len(places), scale.window):
            stop = min(start + scale.window, len(places))
            operands = np.zeros((len(products.weight), factors + 1), products.weight.dtype)
            operands[:, places[start:stop]] = scale.unit
            operands[channels, places[pairs[:, 0]]] = scale.mask
            operands[channels, places[pairs[:, 1]]] = -scale.mask
            weight = operands[:, :factors].reshape(products.weight.shape)
            bias = None if products.bias is None else operands[:, -1].astype(products.bias.dtype)
            outputs: Rows = self._runner.with_operands(self._layer, self._inputs, weight, bias)
            units = (stop - start) - ((pairs >= start) & (pairs < stop)).sum(axis=1)
            swallowed += units - _at(outputs[0], element, channel_axis(products), channels) / scale.unit
        return swallowed + 2


def channel_axis(products: Products) -> int:
    """The axis of an output on which its channels are."""
    return 1 if products.weight.ndim > 2 else -1


def summands(products: Products, inputs: Rows, element: Element) -> NDArray[np.int64]:
    """The numbers of an output element's summands: the products of a row of the weight, then the bias, if there is one.

    Products with padding are none.
    """
    ones = (np.ones((1, *inputs[0].shape[1:]), np.float32),)
    x, _, bias = operands_at(products, ones, [(0, *element[1:])])
    return np.flatnonzero(np.append(x[:, 0], bias is not None))


def asked_summands(products: Products, inputs: Rows, element: Element) -> NDArray[np.int64]:
    """Those of the ``summands`` whose order is asked for: all, or runs spread evenly over them, and the bias."""
    every = summands(products, inputs, element)
    most = SCALES[products.weight.dtype.name].most
    if len(every) <= most:
        return every
    starts = np.linspace(0, len(every) - most // _RUNS, _RUNS).astype(np.int64)
    chosen = np.unique((starts[:, None] + np.arange(most // _RUNS)).ravel())
    return np.asarray(every[np.append(chosen[:-1], len(every) - 1)])


def whole_windows(products: Products, inputs: Rows, outputs: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask, of the shape of the outputs, of the elements whose window lies wholly inside of the input."""
    inside = np.ones(outputs.shape, np.bool_)
    for axis, (stride, padding, dilation) in enumerate(
        zip(products.stride, products.padding, products.dilation, strict=True), 2
    ):
        start = np.arange(outputs.shape[axis]) * stride - padding
        reach = (products.weight.shape[axis] - 1) * dilation
        fits = (start >= 0) & (start + reach < inputs[0].shape[axis])
        inside &= fits.reshape((-1,) + (1,) * (outputs.ndim - axis - 1))
    return inside


def operands_at(
    products: Products, inputs: Rows, elements: Sequence[Element]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """(x, w, bias): the factors [products, elements] of these output elements as float32, and their biases."""
    axis = channel_axis(products)
    channels = [element[axis] for element in elements]
    padded = np.pad(inputs[0], [(0, 0)] * (inputs[0].ndim - len(products.padding)) + [(p, p) for p in products.padding])
    x = [padded[_window(products, element)].reshape(-1).astype(np.float32) for element in elements]
    w = products.weight[channels].reshape(len(channels), -1).astype(np.float32)
    bias = None if products.bias is None else products.bias[channels].astype(np.float32)
    return np.stack(x, axis=1), w.T.copy(), bias


def _window(products: Products, element: Element) -> tuple[int | slice, ...]:
    """Where the window of an output element is in the padded input."""
    if not products.stride:
        return element[:-1]
    inputs = products.weight.shape[1]
    group = element[1] // (len(products.weight) // products.groups)
    kernel = zip(element[2:], products.stride, products.dilation, products.weight.shape[2:], strict=True)
    spans = [slice(at * stride, at * stride + size * dilation, dilation) for at, stride, dilation, size in kernel]
    return (element[0], slice(group * inputs, (group + 1) * inputs), *spans)


def _at(result: NDArray[Any], element: Element, axis: int, channels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values of these channels at the place of ``element``, as float64."""
    place: list[Any] = list(element)
    place[axis] = channels
    return np.asarray(result[tuple(place)], np.float64)

"""What the interventions on rounding share: the layer in a wider type, and its orders of addition, each found once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.spec import Probed, Products, Rows, Widened
from pipeline.causes import Subject, alone
from pipeline.evidence import bits
from pipeline.exact_sums import reproduced
from pipeline.order_probe import Element, Order, OrderProbe, channel_axis, operands_at, summands, whole_windows
from pipeline.tree_words import in_words
from pipeline.wording import counted, number

_GONE = 2.0**-20  # of the difference; float64 rounds 2**29 times finer than float32
_TOLERANCE = 0.05  # of the largest output, between the layer and the same in a wider type: is it the same operation?
_SAMPLE = 256  # output elements at which a tree is replayed


@dataclass(frozen=True)
class Wide:
    """The layer in a wider type. ``gone``: the difference between N = 1 and N = k vanished at the layer's precision.

    None: it cannot be said, and ``text`` says why.
    """

    gone: bool | None
    text: str


def widened(subject: Subject, kind: Literal["float32", "float64"]) -> Wide:
    """The same rows alone and together, computed in ``kind``.

    float64 rounds as well, so bits may still differ there; gone is a difference below 2**-20 of the layer's own.
    """
    if kind not in subject.memo:
        subject.memo[kind] = _widened(subject, kind)
    found: Wide = subject.memo[kind]
    return found


def _widened(subject: Subject, kind: Literal["float32", "float64"]) -> Wide:
    runner: Widened = subject.runner
    name, rows, batch = subject.layer.name, subject.rows(0, subject.batch), subject.batch
    try:
        together = runner.widened(name, rows, kind)[0].astype(np.float64)
        single = alone(Wider(runner, kind), name, rows, batch).astype(np.float64)
    except NotImplementedError as error:
        return Wide(None, f"It has no form in {kind}: {error}.")
    before = _largest(subject.alone.astype(np.float64) - subject.together.astype(np.float64))
    if not before:
        return Wide(None, f"These rows show no difference that {kind} could remove.")
    scale = _largest(together)
    if not _largest(subject.together.astype(np.float64) - together) <= _TOLERANCE * scale:
        return Wide(None, f"In {kind} the layer gives other results altogether, so that it cannot be compared.")
    after = _largest(single - together)
    text = (
        f"In {kind} the largest difference between N = 1 and N = {batch} is {number(after)}, against {number(before)}"
    )
    if after:
        text += f" before: {number(before / after)} times smaller" if after < before else " before"
    return Wide(after <= _GONE * before, f"{text} ({counted(together.size, 'output element')}).")


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max(initial=0.0)) if np.isfinite(values).all() else math.inf


class Wider:
    """A runner whose replay is in another type, for ``alone``."""

    def __init__(self, runner: Widened, kind: Literal["float32", "float64"]) -> None:
        self._runner, self._kind = runner, kind

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """The layer on these rows in that type."""
        return self._runner.widened(layer, inputs, self._kind)


@dataclass(frozen=True)
class Replay:
    """How many of ``sampled`` output elements the tree gives bit for bit, and ``how`` products meet sums there."""

    reproduced: int
    sampled: int
    how: str

    def __str__(self) -> str:
        return f"{self.reproduced} of {self.sampled} ({self.how})"


@dataclass(frozen=True)
class Orders:
    """The orders of addition of one output element at N = 1 and at N = k, and the proof of each by replay."""

    element: Element
    alone: Order
    together: Order
    replays: dict[int, Replay]
    words: dict[str, str]  # by "N = 1" and "N = k"

    @property
    def two_trees(self) -> bool:
        """Whether both are plain trees, and not the same."""
        return None not in (self.alone.tree, self.together.tree) and self.alone.tree != self.together.tree

    @property
    def one_tree(self) -> bool:
        """Whether both are the same plain tree."""
        return self.alone.tree is not None and self.alone.tree == self.together.tree

    def proof(self) -> str:
        """What the replays reproduced, as a sentence."""
        if not self.replays:
            return "No tree could be replayed."
        shares = [f"{replay} at N = {n}" for n, replay in self.replays.items()]
        return (
            "Replayed in exact arithmetic on these rows, the trees give the kernel's own bits for "
            f"{' and '.join(shares)} of the sampled outputs."
        )


def can_be_probed(subject: Subject) -> bool:
    """Whether this layer's order of addition can be asked for."""
    return isinstance(subject.runner, Probed) and subject.runner.products(subject.layer.name) is not None


def orders(subject: Subject) -> Orders:
    """The orders at an element that differs, if there is one, and with its whole window inside of the input, if so."""
    if "orders" not in subject.memo:
        subject.memo["orders"] = _orders(subject)
    found: Orders = subject.memo["orders"]
    return found


def _orders(subject: Subject) -> Orders:
    runner, name = subject.runner, subject.layer.name
    products: Products = runner.products(name)
    rows, axis = subject.rows(0, subject.batch), channel_axis(products)
    alike = whole_windows(products, rows, subject.together)
    if not alike.any():
        alike = np.ones(alike.shape, np.bool_)
    element = _telling(subject.differing & alike, alike, axis)
    if not whole_windows(products, rows, subject.together)[element]:  # no other place has the same summands
        alike = _same_place(alike.shape, element, axis)
    found = {}
    for count in (1, subject.batch):
        at = (0 if count == 1 else element[0], *element[1:])
        found[count] = OrderProbe(runner, name, products, rows, count, subject.seed).at(at)
    places = summands(products, rows, element)
    outputs = {1: subject.alone, subject.batch: subject.together}
    sample = _sample(subject, alike, axis, found)
    replays = {n: _replay(products, rows, places, sample, o, outputs[n]) for n, o in found.items() if o.tree}
    bias = None if products.bias is None else len(places) - 1
    words = {f"N = {n}": _in_words(order, bias) for n, order in found.items()}
    return Orders(element, found[1], found[subject.batch], replays, words)


def _same_place(shape: tuple[int, ...], element: Element, axis: int) -> NDArray[np.bool_]:
    """A mask of the elements that differ from this one in row and channel only."""
    mask = np.zeros(shape, np.bool_)
    place: list[int | slice] = list(element)
    place[0] = place[axis] = slice(None)
    mask[tuple(place)] = True
    return mask


def _telling(differing: NDArray[np.bool_], inside: NDArray[np.bool_], axis: int) -> Element:
    """An element at the place where most channels differ; the middle one of all where none does."""
    if not differing.any():
        every = np.argwhere(inside)
        return tuple(map(int, every[len(every) // 2]))
    channels_last = np.moveaxis(differing, axis, -1)
    places = channels_last.sum(axis=-1)
    place = [int(at) for at in np.unravel_index(int(places.argmax()), places.shape)]
    channel = int(np.flatnonzero(channels_last[tuple(place)])[0])
    place.insert(axis % differing.ndim, channel)
    return tuple(place)


def _sample(subject: Subject, alike: NDArray[np.bool_], axis: int, found: dict[int, Order]) -> list[Element]:
    """Elements of the channels probed, half of them such as differ, as far as there are."""
    channels = np.zeros(alike.shape[axis], np.bool_)
    first, second = (order.channels for order in found.values())
    channels[np.intersect1d(first, second)] = True
    wanted = alike & np.moveaxis(np.broadcast_to(channels, np.moveaxis(alike, axis, -1).shape), -1, axis)
    generator = np.random.Generator(np.random.PCG64(subject.seed))
    equal = _drawn(wanted & ~subject.differing, _SAMPLE // 2, generator)
    return _drawn(wanted & subject.differing, _SAMPLE - len(equal), generator) + equal


def _drawn(mask: NDArray[np.bool_], count: int, generator: np.random.Generator) -> list[Element]:
    places = np.flatnonzero(mask)
    chosen = generator.choice(places, min(count, len(places)), replace=False)
    return [tuple(map(int, np.unravel_index(place, mask.shape))) for place in chosen]


def _replay(
    products: Products,
    rows: Rows,
    places: NDArray[np.int64],
    sample: list[Element],
    order: Order,
    outputs: NDArray[Any],
) -> Replay:
    kernel = np.array([outputs[element] for element in sample], outputs.dtype)
    x, w, bias = operands_at(products, rows, sample)
    factors = places[places < len(x)]
    assert order.tree is not None

    def as_stored(sums: NDArray[np.float32]) -> NDArray[np.bool_]:
        finished = np.maximum(sums, 0) if products.rectified else sums
        return np.asarray(bits(finished.astype(outputs.dtype)) == bits(kernel))

    share, how = reproduced(order.tree, x[factors], w[factors], bias, as_stored)
    return Replay(round(share * len(sample)), len(sample), how)


def _in_words(order: Order, bias: int | None) -> str:
    return f"not a summation tree: {order.why}" if order.tree is None else in_words(order.tree, bias)

"""What the interventions on rounding share: the layer's orders of addition at N = 1 and N = k, and their proof."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Probed, Products
from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.explain.causes import Subject
from isobatch.pipeline.explain.summation.exact import reproduced
from isobatch.pipeline.explain.summation.in_words import in_words
from isobatch.pipeline.explain.summation.probe import (
    SCALES,
    Element,
    Order,
    OrderProbe,
    asked_summands,
    channel_axis,
    operands_at,
    summands,
    whole_windows,
)
from isobatch.pipeline.explain.summation.tree import Tree

_SAMPLE = 256  # output elements at which a tree is replayed
_PROVED = 0.9  # of the elements that depend on N must have the bits that a tree gives, or it is not believed


@dataclass(frozen=True)
class Replay:
    """How many output elements the tree gives bit for bit."""

    reproduced: int
    sampled: int
    how: str  # products meet sums there
    depending: int  # of the sampled, those that depend on N
    telling: float  # the share reproduced of these, or of all if there are none

    def __str__(self) -> str:
        return f"{self.reproduced} of {self.sampled} ({self.how})"


@dataclass(frozen=True)
class Orders:
    """The orders of addition of one output element at N = 1 and at N = k, and the proof of each by replay."""

    element: Element
    alone: Order
    together: Order
    replays: dict[int, Replay]
    words: dict[str, str]  # by N

    @property
    def two_trees(self) -> bool:
        """Whether both are plain trees, and not the same."""
        return None not in (self.alone.tree, self.together.tree) and self.alone.tree != self.together.tree

    @property
    def asked(self) -> bool:
        """Whether both could be asked for."""
        return self.alone.asked and self.together.asked

    @property
    def one_tree(self) -> bool:
        """Whether both are the same plain tree."""
        return self.alone.tree is not None and self.alone.tree == self.together.tree

    def proof(self) -> str:
        """What the replays reproduced, as a sentence."""
        if not self.replays:
            return "No tree could be replayed."
        shares = [f"{replay} at N = {n}" for n, replay in self.replays.items()]
        depending = next(iter(self.replays.values())).depending
        return (
            "Replayed in exact arithmetic on these rows, the trees give the kernel's own bits for "
            f"{' and '.join(shares)} of the outputs sampled, {depending} of which depend on N."
        )


def can_be_probed(subject: Subject) -> bool:
    """Whether this layer's order of addition can be asked for."""
    if not isinstance(subject.runner, Probed):
        return False
    products = subject.runner.products(subject.layer.name)
    return products is not None and products.weight.dtype.name in SCALES


def orders(subject: Subject) -> Orders:
    """The orders at an element that differs, if there is one, and with its whole window inside of the input, if so."""
    return subject.known("orders", lambda: _orders(subject))


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
    every, asked = summands(products, rows, element), asked_summands(products, rows, element)
    subject = subject if len(asked) == len(every) else _restricted(subject, products, asked)
    sides: dict[int, Order] = {}
    for count in (1, subject.batch):
        at = (0 if count == 1 else element[0], *element[1:])
        sides[count] = OrderProbe(runner, name, products, rows, count, subject.seed).at(at)
    sample = _sample(subject, alike, axis, sides)
    bias = None if products.bias is None else len(asked) - 1
    replays, words = {}, {}
    for n, order in sides.items():
        if order.tree is not None and sample:
            replays[n] = _replay(subject, sample, asked, order.tree, subject.alone if n == 1 else subject.together)
            order = sides[n] = _believed(order, replays[n])
        plain = order.tree and in_words(order.tree, bias, asked.tolist(), len(every))
        words[str(n)] = plain or f"{'not a summation tree' if order.asked else 'not asked'}: {order.why}"
    return Orders(element, sides[1], sides[subject.batch], replays, words)


@dataclass(frozen=True)
class _Restricted:
    """A runner of one layer of which all products but some are 0."""

    runner: Any
    kept: Products

    def products(self, layer: str) -> Products:
        """The layer's operands, with those zeros."""
        return self.kept

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """The layer with those zeros, by its own kernel."""
        outputs: Rows = self.runner.with_operands(layer, inputs, self.kept.weight, self.kept.bias)
        return outputs


def _restricted(subject: Subject, products: Products, asked: NDArray[np.int64]) -> Subject:
    """The same rows at the same layer, with only the summands asked for: a sum of 0 and more is exact."""
    weight = np.zeros((len(products.weight), products.weight[0].size), products.weight.dtype)
    factors = asked[asked < weight.shape[1]]
    weight[:, factors] = products.weight.reshape(weight.shape)[:, factors]
    kept = replace(products, weight=weight.reshape(products.weight.shape))
    return replace(subject, runner=_Restricted(subject.runner, kept), memo={})


def _believed(order: Order, replay: Replay) -> Order:
    """The order, without a tree where replaying it does not give the kernel's bits: the masks were misled."""
    if replay.telling >= _PROVED:
        return order
    why = f"replayed, it gives the kernel's bits for only {replay.reproduced} of {replay.sampled} outputs sampled"
    return replace(order, tree=None, why=why)


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


def _sample(subject: Subject, alike: NDArray[np.bool_], axis: int, known: dict[int, Order]) -> list[Element]:
    """Elements of the channels probed, half of them such as differ, as far as there are."""
    channels = np.zeros(alike.shape[axis], np.bool_)
    first, second = (order.channels for order in known.values())
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
    subject: Subject, sample: list[Element], asked: NDArray[np.int64], tree: Tree, outputs: NDArray[Any]
) -> Replay:
    products: Products = subject.runner.products(subject.layer.name)
    kernel = np.array([outputs[element] for element in sample], outputs.dtype)
    x, w, bias = operands_at(products, subject.rows(0, subject.batch), sample)
    factors = asked[asked < len(x)]

    def as_stored(sums: NDArray[np.float32]) -> NDArray[np.bool_]:
        finished = np.maximum(sums, 0) if products.rectified else sums
        return np.asarray(bits(finished.astype(outputs.dtype)) == bits(kernel))

    same, how = reproduced(tree, x[factors], w[factors], bias, as_stored)
    telling = same[np.array([subject.differing[element] for element in sample])]
    share = float((telling if len(telling) else same).mean())
    return Replay(int(same.sum()), len(sample), how, len(telling), share)

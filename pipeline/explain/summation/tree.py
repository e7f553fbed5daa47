"""The order in which a kernel adds up: found from the sizes of subtrees, as one mask of +M and -M shows them.

Xie et al., "Revealing Floating-Point Accumulation Orders in Software/Hardware Implementations", USENIX ATC 2025: among
summands of 1, a +M at i and a -M at j swallow every 1 that is added before they meet. What is missing from the sum is
the size of the smallest subtree that holds both, and these sizes are enough to draw the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
"""[m, 2]: two different summands in each row."""

SubtreeSizes = Callable[[Pairs], NDArray[np.float64]]
"""For each pair the number of summands of the smallest subtree that holds both, as measured: it may be nonsense."""

_PAIRS_PER_SUMMAND = 48  # regular kernels take 4 to 12; beyond this the order is not worth the time


class NotATree(ValueError):
    """What was measured is not a plain tree of sums; the text says where it failed."""


@dataclass(frozen=True)
class Tree:
    """A tree over ``count`` summands, numbered from 0. Two trees of the same order of additions are equal."""

    count: int
    # The additions, children first; node m has the number ``count + m``, its children are summands or earlier nodes,
    # sorted by their first summand. More than two children: terms that a kernel adds without rounding in between.
    nodes: tuple[tuple[int, ...], ...]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of summands below each summand (1) and node, [count + nodes]."""
        counts = np.ones(self.count + len(self.nodes), np.int64)
        for number, children in enumerate(self.nodes, self.count):
            counts[number] = counts[list(children)].sum()
        return counts

    @cached_property
    def depth(self) -> int:
        """The largest number of additions between a summand and the sum."""
        depths = np.zeros(self.count + len(self.nodes), np.int64)
        for number, children in enumerate(self.nodes, self.count):
            depths[number] = depths[list(children)].max() + 1
        return int(depths[-1])

    def sizes_of(self, pairs: Pairs) -> NDArray[np.int64]:
        """What ``SubtreeSizes`` should be for these pairs, int64 [m]."""
        parent = np.arange(self.count + len(self.nodes))
        for number, children in enumerate(self.nodes, self.count):
            parent[list(children)] = number
        first, second = pairs[:, 0].copy(), pairs[:, 1].copy()
        while (apart := first != second).any():  # parents have the larger numbers, so the smaller one moves up
            lower = apart & (first < second)
            first[lower] = parent[first[lower]]
            lower = apart & ~lower
            second[lower] = parent[second[lower]]
        return np.asarray(self.sizes[first])


@dataclass
class _Node:
    """An addition while its children are not all known."""

    children: list[_Node | int]


@dataclass(frozen=True)
class _Pending:
    """Summands whose order among themselves is still to be asked for; all of them lie below ``into``."""

    members: NDArray[np.int64]
    into: _Node
    above: int  # the size of the subtree of ``into``


def reveal(count: int, sizes: SubtreeSizes) -> Tree:
    """The tree of ``count`` summands, two or more. Raises NotATree where the sizes contradict one another.

    Each round asks, in one call, for all groups not yet divided: the sizes of one member with every other. They tell
    which others join it together, and these are the groups of the next round (FPRev's recursion, breadth first). The
    member in the middle is taken, so that chains in either direction need few rounds.
    """
    top = _Node([])
    pending = [_Pending(np.arange(count), top, count)]
    asked = 0
    while pending:
        pairs = [_with_others(group.members) for group in pending]
        asked += sum(map(len, pairs))
        if asked > _PAIRS_PER_SUMMAND * count:
            raise NotATree(f"no regular order was found with {_PAIRS_PER_SUMMAND} pairs a summand")
        wanted = np.concatenate(pairs)
        answers = _plausible(count, sizes(wanted)) if len(wanted) else np.empty(0, np.int64)
        counts = np.split(answers, np.cumsum([len(pair) for pair in pairs])[:-1])
        groups, pending = zip(pending, pairs, counts, strict=True), []
        for group, asked_pairs, answered in groups:
            pending += _divide(group, asked_pairs, answered)
    return _numbered(count, top)


def mismatches(tree: Tree, pairs: Pairs, sizes: SubtreeSizes) -> int:
    """How many of these pairs the kernel answers otherwise than the tree does."""
    return int((sizes(pairs) != tree.sizes_of(pairs)).sum())


def random_pairs(count: int, wanted: int, generator: np.random.Generator) -> Pairs:
    """``wanted`` pairs of different summands."""
    first = generator.integers(0, count, wanted)
    return np.stack([first, (first + generator.integers(1, count, wanted)) % count], axis=1)


def _with_others(members: NDArray[np.int64]) -> Pairs:
    middle = len(members) // 2
    others = np.delete(members, middle)
    return np.stack([np.full(len(others), members[middle]), others], axis=1)


def _plausible(count: int, counts: NDArray[np.float64]) -> NDArray[np.int64]:
    whole = np.nan_to_num(counts, nan=-1.0, posinf=-1.0, neginf=-1.0)
    good = (whole == np.floor(whole)) & (whole >= 2) & (whole <= count)
    if not good.all():
        raise NotATree(f"a mask left {counts[~good][0]:g} of {count} summands out, which no tree does")
    return whole.astype(np.int64)


def _divide(group: _Pending, pairs: Pairs, sizes: NDArray[np.int64]) -> Iterator[_Pending]:
    """Hang the asked member's chain of additions into the tree; yields the groups that join it on the way."""
    if len(group.members) == 1:
        group.into.children.append(int(group.members[0]))
        return
    below: _Node | int = int(pairs[0, 0])
    covered = 1
    for size in np.unique(sizes):
        joining = pairs[sizes == size, 1]
        if size == group.above and covered + len(joining) != size:  # these belong beside this chain, not in it
            group.into.children.append(below)
            yield _Pending(joining, group.into, group.above)
            return
        covered += len(joining)
        if covered != size:
            raise NotATree(f"a subtree of {size} summands was found to hold {covered}")
        node = group.into if size == group.above else _Node([])
        node.children.append(below)
        yield _Pending(joining, node, int(size))
        below = node
    if below is not group.into:
        group.into.children.append(below)


def _numbered(count: int, top: _Node) -> Tree:
    """The finished tree: children sorted by their first summand, numbered children first."""
    first: dict[int, int] = {}  # by id, the first summand below a node

    def first_of(child: _Node | int) -> int:
        return child if isinstance(child, int) else first[id(child)]

    for node in _children_first(top):
        node.children.sort(key=first_of)
        first[id(node)] = first_of(node.children[0])
    nodes = _children_first(top)
    number = {id(node): count + at for at, node in enumerate(nodes)}
    below = ([child if isinstance(child, int) else number[id(child)] for child in node.children] for node in nodes)
    return Tree(count, tuple(map(tuple, below)))


def _children_first(top: _Node) -> list[_Node]:
    order, waiting = [], [top]
    while waiting:
        order.append(waiting.pop())
        waiting += [child for child in order[-1].children if isinstance(child, _Node)]
    return order[::-1]

"""A summation tree in a few words: "a chain of 2048" against "8 chains of 256, added one after another"."""

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from isobatch.pipeline.explain.summation.tree import Tree
from isobatch.pipeline.records.wording import counted, listed, out_of

_ALIKE = 4  # the halves that a tree joins differ in size by less than this factor
_LEVELS = 4  # blocks of blocks of blocks are still worth words
_MOST = 0.9  # of the steps of a chain that make it "mostly" regular


def in_words(tree: Tree, bias: int | None = None, places: Sequence[int] | None = None, of: int | None = None) -> str:
    """The order of additions, condensed to one line. ``bias``: the summand that is the bias and not a product.

    ``places``: where each summand stands in memory, if not at its own number. ``of``: how many summands the kernel has.
    """
    said = _Words(tree, bias, places or range(tree.count)).of(tree.count + len(tree.nodes) - 1)
    summands = (
        counted(tree.count, "summand")
        if of in (None, tree.count)
        else f"{out_of(tree.count, of or 0, 'summand')} (all others 0)"
    )
    return f"{summands}, {counted(tree.depth, 'addition')} deep: {said}"


class _Words:
    """Describes the nodes of one tree."""

    def __init__(self, tree: Tree, bias: int | None, places: Sequence[int]) -> None:
        self._tree = tree
        self._bias = bias
        self._places = places

    def of(self, node: int, level: int = 0) -> str:
        """A chain; blocks in a row or joined by a tree; then what is added to them one by one."""
        chain = self._chain(node)
        if not any(map(self._inner, chain)):
            return self._counted([self._straight(chain)])
        if level == _LEVELS:
            return f"an irregular order of {self._tree.sizes[node]}"
        after: list[int] = []
        while not self._inner(chain[-1]):
            after.append(chain.pop())
            node = self._heavy(node)
        joins = [int(self._tree.sizes[part]) for part in chain[1:] if self._inner(part)]
        if any(later > earlier for earlier, later in itertools.pairwise(joins)):
            parts = self._leaves_of_tree(node)
            text = f"{self._counted([self._phrase(part, level) for part in parts])}, joined by a tree of {len(parts)}"
        else:
            text = self._row(chain, level)
        return f"{text}, then {self._ones(after[::-1])}" if after else text

    def _row(self, chain: Sequence[int], level: int) -> str:
        """Blocks that are added one after another, and single summands between them."""
        first = next(at for at, part in enumerate(chain) if at and self._inner(part))
        phrases = [self._straight(chain[:first]) if first > 1 else self._phrase(chain[0], level)]
        loose = [part for part in chain[first:] if not self._inner(part)]
        phrases += [self._phrase(part, level) for part in chain[first:] if self._inner(part)]
        text = f"{self._counted(phrases)}, added one after another"
        return f"{text}, with {self._ones(loose)} in between" if loose else text

    def _phrase(self, node: int, level: int) -> str:
        if not self._inner(node):
            return self._ones([node])
        chain = self._chain(node)
        return self._straight(chain) if not any(map(self._inner, chain)) else f"block ({self.of(node, level + 1)})"

    def _straight(self, chain: Sequence[int]) -> str:
        """A chain of summands: how many, and in which steps through memory."""
        products = [self._places[part] for part in chain if part != self._bias]
        fused = self._widest(chain)
        text = f"chain of {len(chain)}" + (f", {fused - 1} at a time" if fused > 2 else "")
        if self._bias in chain:
            text += " with the bias"
        if len(products) < 3:
            return text
        if (products[1] - products[0]) * (products[2] - products[1]) < 0:
            products[:2] = products[1::-1]  # which of the first two comes first makes no difference
        steps = Counter(np.diff(products).tolist())
        (step, most) = steps.most_common(1)[0]
        if step == 1 and len(steps) == 1:
            return text
        if most < _MOST * steps.total():
            return f"{text} (not in memory order)"
        regular = {1: "in memory order", -1: "backwards"}.get(step, f"every {abs(step)}th" + " backwards" * (step < 0))
        return f"{text} ({'' if len(steps) == 1 else 'mostly '}{regular})"

    def _ones(self, summands: Sequence[int]) -> str:
        products = sum(part != self._bias for part in summands)
        words = [f"{products} more" if products > 1 else "one more"] * bool(products)
        return listed([*words, *["the bias"] * (self._bias in summands)])

    @staticmethod
    def _counted(phrases: Sequence[str]) -> str:
        counts = Counter(phrases).items()
        return listed([f"a {thing}" if n == 1 else f"{n} {thing.replace(' ', 's ', 1)}" for thing, n in counts])

    def _leaves_of_tree(self, node: int) -> list[int]:
        """The blocks below the additions whose sides are of like size."""
        sides = self._children(node)
        sizes = [int(self._tree.sizes[side]) for side in sides]
        if not all(map(self._inner, sides)) or len(sides) > 2 or max(sizes) >= _ALIKE * min(sizes):
            return [node]
        return [part for side in sides for part in self._leaves_of_tree(side)]

    def _chain(self, node: int) -> list[int]:
        """From the first summand up: what is added to the larger side, addition by addition."""
        joined: list[int] = []
        while self._inner(node):
            heavy = self._heavy(node)
            joined += [child for child in self._children(node)[::-1] if child != heavy]
            node = heavy
        return [node, *joined[::-1]]

    def _widest(self, chain: Sequence[int]) -> int:
        inside = set(chain)
        return max((len(children) for children in self._tree.nodes if inside & set(children)), default=2)

    def _heavy(self, node: int) -> int:
        return max(self._children(node), key=lambda child: (self._tree.sizes[child], -child))

    def _children(self, node: int) -> tuple[int, ...]:
        return self._tree.nodes[node - self._tree.count]

    def _inner(self, node: int) -> bool:
        return node >= self._tree.count

"""Known trees are revealed, in agreement with the slow twin that asks for every pair; nonsense is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.explain.summation.tree import NotATree, Pairs, Tree, mismatches, random_pairs, reveal
from tests.pipeline.explain.summation.trees import tree_of

M = np.float32(2.0**40)
Kernel = Callable[[NDArray[np.float32]], Any]


def add(*values: Any) -> Any:
    """One addition of float32: exact, then rounded once."""
    return np.float32(sum(float(value) for value in values))


def sequential(x: NDArray[np.float32]) -> Any:
    total = x[0]
    for value in x[1:]:
        total = add(total, value)
    return total


def reversed_(x: NDArray[np.float32]) -> Any:
    return sequential(x[::-1])


def pairwise(x: NDArray[np.float32]) -> Any:
    return x[0] if len(x) == 1 else add(pairwise(x[: len(x) // 2]), pairwise(x[len(x) // 2 :]))


def blocked(x: NDArray[np.float32], size: int = 5) -> Any:
    return sequential(np.array([sequential(x[i : i + size]) for i in range(0, len(x), size)]))


def strided(x: NDArray[np.float32], lanes: int = 4) -> Any:
    return pairwise(np.array([sequential(x[lane::lanes]) for lane in range(min(lanes, len(x)))]))


def fused(x: NDArray[np.float32], k: int = 3) -> Any:
    """Chains that take k terms at a time, cut where the largest of them ends, as matrix units do."""
    total = x[0]
    for start in range(1, len(x), k):
        terms = np.array([total, *x[start : start + k]], np.float32)
        unit = float(np.spacing(np.abs(terms).max()))
        total = np.float32(np.trunc(terms.astype(np.float64) / unit).sum() * unit)
    return total


KERNELS: list[Kernel] = [sequential, reversed_, pairwise, blocked, strided, fused]


def asked(kernel: Kernel, count: int) -> Callable[[Pairs], NDArray[np.float64]]:
    def sizes(pairs: Pairs) -> NDArray[np.float64]:
        found = []
        for i, j in pairs:
            x = np.ones(count, np.float32)
            x[i], x[j] = M, -M
            found.append(count - float(kernel(x)))
        return np.array(found)

    return sizes


def naive(count: int, sizes: Callable[[Pairs], NDArray[np.float64]]) -> set[frozenset[int]]:
    """The slow twin: every pair is asked for; a subtree is what a summand has within that size, nothing is inferred."""
    pairs = np.array([(i, j) for i in range(count) for j in range(count) if i != j])
    table = np.ones((count, count))
    table[tuple(pairs.T)] = sizes(pairs)
    return {frozenset(np.flatnonzero(row <= size).tolist()) for row in table for size in row if size > 1}


def subtrees(tree: Tree) -> set[frozenset[int]]:
    below = [{i} for i in range(tree.count)]
    for children in tree.nodes:
        below.append(set().union(*(below[child] for child in children)))
    return {frozenset(one) for one in below[tree.count :]}


@pytest.mark.parametrize("count", [2, 3, 7, 16, 23])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_the_tree_is_the_one_that_all_pairs_show(kernel: Kernel, count: int) -> None:
    sizes = asked(kernel, count)
    tree = reveal(count, sizes)
    assert subtrees(tree) == naive(count, sizes)
    every = np.array([(i, j) for i in range(count) for j in range(count) if i != j])
    assert mismatches(tree, every, sizes) == 0


def test_trees_by_hand() -> None:
    assert reveal(4, asked(sequential, 4)) == tree_of([[[0, 1], 2], 3], 4)
    assert reveal(4, asked(reversed_, 4)) == tree_of([[[3, 2], 1], 0], 4)
    assert reveal(4, asked(pairwise, 4)) == tree_of([[0, 1], [2, 3]], 4)
    assert reveal(6, asked(lambda x: strided(x, 2), 6)) == tree_of([[[0, 2], 4], [[1, 3], 5]], 6)
    assert reveal(7, asked(fused, 7)) == tree_of([[0, 1, 2, 3], 4, 5, 6], 7)
    assert reveal(7, asked(fused, 7)).sizes[7:].tolist() == [4, 7]


@pytest.mark.parametrize("seed", range(20))
def test_any_tree_is_found_again(seed: int) -> None:
    generator = np.random.default_rng(seed)
    parts: list[Any] = generator.permutation(30).tolist()
    while len(parts) > 1:
        taken = [
            parts.pop(int(generator.integers(len(parts)))) for _ in range(min(len(parts), generator.integers(2, 4)))
        ]
        parts.append(taken)
    tree = tree_of(parts[0], 30)
    assert reveal(30, lambda pairs: tree.sizes_of(pairs).astype(np.float64)) == tree


@pytest.mark.parametrize("kernel", [sequential, reversed_, pairwise, strided])
def test_regular_orders_take_few_rounds(kernel: Kernel) -> None:
    tree = reveal(64, asked(kernel, 64))
    calls = []

    def sizes(pairs: Pairs) -> NDArray[np.float64]:
        calls.append(len(pairs))
        return tree.sizes_of(pairs).astype(np.float64)

    reveal(64, sizes)
    assert len(calls) <= 8 and sum(calls) <= 8 * 64


@pytest.mark.parametrize("nonsense", [0.5, np.nan, np.inf, 1.0, 9.0, 7.0])
def test_implausible_sizes_are_not_a_tree(nonsense: float) -> None:
    with pytest.raises(NotATree):
        reveal(8, lambda pairs: np.where(pairs[:, 1] == 3, nonsense, 8.0))


def test_contradicting_sizes_are_not_a_tree() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(NotATree):
        reveal(12, lambda pairs: generator.integers(2, 12, len(pairs)).astype(np.float64))


def test_a_kernel_that_is_no_sum_in_some_order_is_not_a_tree() -> None:
    with pytest.raises(NotATree):
        reveal(9, asked(lambda x: np.float32(np.float64(x.astype(np.float64).sum()) * 0.75), 9))


def test_a_tree_that_holds_for_some_pairs_only_is_caught_by_others() -> None:
    tree, other = tree_of([[[0, 1], 2], 3], 4), tree_of([[0, 1], [2, 3]], 4)
    pairs = random_pairs(4, 50, np.random.default_rng(0))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert mismatches(tree, pairs, lambda p: other.sizes_of(p).astype(np.float64)) > 0
    assert mismatches(tree, pairs, lambda p: tree.sizes_of(p).astype(np.float64)) == 0

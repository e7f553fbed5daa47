"""Trees in words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from isobatch.pipeline.explain.summation.in_words import in_words
from isobatch.pipeline.explain.summation.tree import Tree
from tests.pipeline.explain.summation.trees import tree_of


def chain(parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = [total, part]
    return total


def lanes(count: int, step: int) -> list[Any]:
    return [chain(range(start, count, step)) for start in range(step)]


def blocks(count: int, size: int) -> list[Any]:
    return [chain(range(start, min(start + size, count))) for start in range(0, count, size)]


CASES = [
    (chain(range(64)), 64, "64 summands, 63 additions deep: a chain of 64"),
    (chain(range(64)[::-1]), 64, "64 summands, 63 additions deep: a chain of 64 (backwards)"),
    (chain(blocks(64, 8)), 64, "64 summands, 14 additions deep: 8 chains of 8, added one after another"),
    (
        chain(blocks(60, 8)),
        60,
        "60 summands, 14 additions deep: 7 chains of 8 and a chain of 4, added one after another",
    ),
    (
        [[lanes(64, 4)[0], lanes(64, 4)[1]], [lanes(64, 4)[2], lanes(64, 4)[3]]],
        64,
        "64 summands, 17 additions deep: 4 chains of 16 (every 4th), joined by a tree of 4",
    ),
    ([[0, 1], 2], 3, "3 summands, 2 additions deep: a chain of 3"),
    ([0, 1], 2, "2 summands, 1 addition deep: a chain of 2"),
    ([[0, 1, 2, 3], 4, 5, 6], 7, "7 summands, 2 additions deep: a chain of 7, 3 at a time"),
]


@pytest.mark.parametrize(("nested", "count", "words"), CASES)
def test_regular_trees(nested: Any, count: int, words: str) -> None:
    assert in_words(tree_of(nested, count)) == words


def test_the_bias_is_named_where_it_comes_in() -> None:
    first = in_words(tree_of(chain([16, *range(16)]), 17), bias=16)
    last = in_words(tree_of([chain(blocks(16, 4)), 16], 17), bias=16)
    assert first == "17 summands, 16 additions deep: a chain of 17 with the bias"
    assert last.endswith("4 chains of 4, added one after another, then the bias")


def test_an_order_that_is_not_that_of_memory_is_called_so() -> None:
    assert in_words(tree_of(chain([3, 1, 4, 0, 5, 2]), 6)).endswith("a chain of 6 (not in memory order)")


def test_a_long_chain_needs_no_deep_recursion() -> None:
    count = 20 * sys.getrecursionlimit()
    long = Tree(count, ((0, 1), *((at, count + at - 2) for at in range(2, count))))
    assert in_words(long).endswith(f"a chain of {count}")

"""Trees written by hand."""

from __future__ import annotations

from typing import Any

from isobatch.pipeline.explain.summation.tree import Tree


def tree_of(nested: Any, count: int) -> Tree:
    """The tree written as nested sequences of summands: ``[[0, 1], [2, 3]]`` adds pairwise."""
    nodes: list[tuple[int, ...]] = []

    def first(part: Any) -> int:
        return part if isinstance(part, int) else min(map(first, part))

    def number(part: Any) -> int:
        if isinstance(part, int):
            return part
        nodes.append(tuple(number(child) for child in sorted(part, key=first)))
        return count + len(nodes) - 1

    number(nested)
    return Tree(count, tuple(nodes))

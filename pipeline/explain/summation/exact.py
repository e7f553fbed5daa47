"""A summation tree carried out in exact float32 arithmetic, every addition rounded once, as hardware does it."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.explain.summation.tree import Tree

Multiply = Literal["fused", "separate"]
Floats = NDArray[np.float32]


def fused_multiply_add(x: Floats, w: Floats, added: Floats) -> Floats:
    """x * w + added, float32, rounded once (to nearest, ties to even).

    The product is exact in float64; the sum is rounded to odd there, so that rounding it again to float32 gives what
    one rounding would (Boldo and Melquiond, "Emulation of a FMA and Correctly Rounded Sums: Proved Algorithms Using
    Rounding to Odd", IEEE Trans. Computers 57(4), 2008). Results in the subnormal range of float32 are not covered.
    """
    product, other = x.astype(np.float64) * w, added.astype(np.float64)
    total = product + other
    back = total - product
    error = (product - (total - back)) + (other - back)  # exact (Knuth's TwoSum)
    pattern = total.view(np.int64)
    inexact = (error != 0) & (pattern & 1 == 0) & np.isfinite(total)
    pattern[inexact] += np.where((error > 0) == (total > 0), 1, -1)[inexact]  # the odd neighbour on the error's side
    return total.astype(np.float32)


def replayed(tree: Tree, x: Floats, w: Floats, bias: Floats | None, multiply: Multiply, ascending: bool) -> Floats:
    """The sums [s] that this tree gives for products of ``x`` and ``w``, both [products, s].

    ``bias`` [s]: the last summand of the tree, where it has one more than there are products. A product that meets a
    sum is added to it by a fused multiply-add or after a rounding of its own, as ``multiply`` says. ``ascending``: of
    two products that meet, the first is rounded and the second fused to it; else the other way round. More than two
    terms at once are summed in float64 and rounded.
    """
    values: dict[int, Floats] = {} if bias is None else {len(x): bias}

    def value(part: int) -> Floats:
        return values.pop(part) if part in values else x[part] * w[part]

    for number, children in enumerate(tree.nodes, tree.count):
        if len(children) > 2:
            terms = [
                values.pop(c).astype(np.float64) if c in values else x[c].astype(np.float64) * w[c] for c in children
            ]
            values[number] = np.sum(terms, axis=0).astype(np.float32)
            continue
        products = [part for part in children if part not in values]
        if multiply == "separate" or not products:
            values[number] = value(children[0]) + value(children[1])
            continue
        last = products[-1] if ascending else products[0]
        (other,) = (part for part in children if part != last)
        values[number] = fused_multiply_add(x[last], w[last], value(other))
    return values[tree.count + len(tree.nodes) - 1]


def reproduced(
    tree: Tree, x: Floats, w: Floats, bias: Floats | None, finish: Callable[[Floats], NDArray[np.bool_]]
) -> tuple[NDArray[np.bool_], str]:
    """(which sums are reproduced, how), by that way in which products can meet sums that reproduces most.

    ``finish`` takes the sums [s] and says which of them are the kernel's, bit for bit, once stored as it stores them.
    """
    ways: list[tuple[str, Multiply, bool]] = [
        ("fused multiply-add", "fused", True),
        ("fused multiply-add, last product first", "fused", False),
        ("separate multiplication and addition", "separate", True),
    ]
    best = np.zeros(0, np.bool_), ""
    for words, multiply, ascending in ways:
        value = finish(replayed(tree, x, w, bias, multiply, ascending))
        if not best[1] or value.sum() > best[0].sum():
            best = value, words
        if value.all():
            break
    return best

"""Exact arithmetic against the C library and against rational numbers, and trees carried out by hand."""

from __future__ import annotations

import ctypes
import ctypes.util
from fractions import Fraction

import numpy as np
import pytest

from isobatch.pipeline.explain.summation.exact import fused_multiply_add, replayed, reproduced
from tests.pipeline.explain.summation.trees import tree_of

HALF_ULP = np.float32(2.0**-24)
ONE = np.float32(1)


def of(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def hard_cases(count: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random operands; in half of them the addend nearly cancels the product or is far larger than it."""
    draws = np.random.default_rng(0)
    x = (draws.standard_normal(count) * 2.0 ** draws.integers(-20, 20, count)).astype(np.float32)
    w = draws.standard_normal(count).astype(np.float32)
    near = -(x.astype(np.float64) * w) * (1 + 2.0**-24 * draws.integers(-3, 4, count))
    far = draws.standard_normal(count) * 2.0 ** draws.integers(-30, 60, count)
    return x, w, np.where(draws.random(count) < 0.5, near, far).astype(np.float32)


def test_fused_multiply_add_is_that_of_the_c_library() -> None:
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    library.fmaf.restype, library.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    x, w, added = hard_cases()
    expected = of(*(library.fmaf(*operands) for operands in zip(x, w, added, strict=True)))
    assert fused_multiply_add(x, w, added).tobytes() == expected.tobytes()


def test_fused_multiply_add_is_the_nearest_float_to_the_exact_value() -> None:
    for x, w, added in zip(*(part[:300] for part in hard_cases()), strict=True):
        exact = Fraction(float(x)) * Fraction(float(w)) + Fraction(float(added))
        found = fused_multiply_add(of(x), of(w), of(added))[0]
        error = abs(Fraction(float(found)) - exact)
        for other in (np.nextafter(found, np.float32(np.inf)), np.nextafter(found, np.float32(-np.inf))):
            assert error <= abs(Fraction(float(other)) - exact)


def test_a_sum_just_below_a_tie_is_not_rounded_twice() -> None:
    x, w = of(1 + 2.0**-23), of((1 - 2.0**-23) * 2.0**-24)  # 2**-24 - 2**-70: less than half a unit of what follows
    added = of(1 + 2.0**-23)
    twice = (x.astype(np.float64) * w + added).astype(np.float32)
    assert twice[0] == np.float32(1 + 2.0**-22)
    assert fused_multiply_add(x, w, added)[0] == added[0]


def test_the_order_of_a_tree_decides_the_sum() -> None:
    x, w = np.ones((3, 1), np.float32), np.array([[ONE], [HALF_ULP], [HALF_ULP]])
    chain, other = tree_of([[0, 1], 2], 3), tree_of([0, [1, 2]], 3)
    assert replayed(chain, x, w, None, "separate", True)[0] == ONE
    assert replayed(other, x, w, None, "separate", True)[0] == ONE + np.float32(2.0**-23)


def test_the_bias_is_the_last_summand_and_no_product() -> None:
    x, w = np.full((2, 1), 2, np.float32), np.full((2, 1), 3, np.float32)
    assert replayed(tree_of([[0, 1], 2], 3), x, w, of(5.0), "fused", True)[0] == 17
    assert replayed(tree_of([[2, 0], 1], 3), x, w, of(5.0), "fused", True)[0] == 17


@pytest.mark.parametrize("multiply", ["fused", "separate"])
def test_more_than_two_terms_are_summed_before_they_are_rounded(multiply: str) -> None:
    x, w = np.ones((3, 1), np.float32), np.array([[ONE], [HALF_ULP], [HALF_ULP]])
    assert replayed(tree_of([0, 1, 2], 3), x, w, None, multiply, True)[0] > ONE  # type: ignore[arg-type]


def test_the_way_that_reproduces_the_bits_is_told_from_the_other() -> None:
    draws = np.random.default_rng(1)
    x, w = (draws.standard_normal((9, 64)).astype(np.float32) for _ in range(2))
    tree = tree_of([[[[0, 1], 2], [[3, 4], 5]], [[6, 7], 8]], 9)
    for multiply, words in (("fused", "fused multiply-add"), ("separate", "separate multiplication and addition")):
        kernel = replayed(tree, x, w, None, multiply, True)  # type: ignore[arg-type]
        matching, how = reproduced(tree, x, w, None, lambda sums, kernel=kernel: sums == kernel)
        assert matching.all() and how == words
    matching, _ = reproduced(tree, x, w, None, lambda sums: sums == kernel + 1)
    assert not matching.any()

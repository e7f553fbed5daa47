"""The float formulas by which a kernel may turn exact integer sums into codes, and which of them it did.

In real numbers all are one formula; in float32 they round in other places and, near a tie, to other codes. Orders seen
in FBGEMM (``QuantUtilsAvx2.cc``: bias over the scales, one multiplier), oneDNN (scales, bias, reciprocal of the output
scale) and ATen's additions (dequantize each, add, multiply by the reciprocal).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Accumulators
from isobatch.pipeline.explain.summation.exact import fused_multiply_add

Floats = NDArray[np.float32]
_FIRST = 512  # elements that sort out most formulas before the others are looked at


@dataclass(frozen=True)
class Formula:
    """One order of evaluation in float32."""

    text: str  # with s_x, s_w, s_y: input, weight and output scale
    scaled: Callable[[Terms], Floats]  # in output steps, without the zero point
    rounding: str = "half-even"
    zero_inside: bool = False  # whether the zero point is added before rounding

    def codes(self, terms: Terms) -> NDArray[np.int64]:
        """The codes of these elements, int64."""
        zero = terms.numbers.zero_point
        with np.errstate(over="ignore", invalid="ignore"):
            steps = self.scaled(terms)
            if self.zero_inside:
                steps = steps + np.float32(zero)
            rounded = np.rint(steps) if self.rounding == "half-even" else np.floor(steps + np.float32(0.5))
        values = np.nan_to_num(rounded.astype(np.float64)) + (0 if self.zero_inside else zero)
        return np.clip(values, terms.numbers.low, terms.numbers.high).astype(np.int64)

    def __str__(self) -> str:
        inside = ", zero point before rounding" if self.zero_inside else ""
        return f"{self.text}, {self.rounding}{inside}"


@dataclass(frozen=True)
class Terms:
    """Some elements of a layer's output: their exact sums, and each one's own scales and bias in float32."""

    numbers: Accumulators
    exact: tuple[NDArray[np.int64], ...]
    weight_scales: Floats
    bias: Floats

    @classmethod
    def of(cls, numbers: Accumulators, at: NDArray[np.bool_]) -> Terms:
        """The elements where the mask [n, ...] is set; sums of one image stand for all n."""
        return cls(
            numbers,
            tuple(np.broadcast_to(values, at.shape)[at] for values in numbers.exact),
            np.broadcast_to(numbers.weight_scales, at.shape)[at].astype(np.float32),
            np.broadcast_to(numbers.bias, at.shape)[at].astype(np.float32),
        )

    def at(self, index: slice | NDArray[np.int64]) -> Terms:
        """Some of these elements, by number."""
        exact = tuple(values[index] for values in self.exact)
        return Terms(self.numbers, exact, self.weight_scales[index], self.bias[index])

    @property
    def steps(self) -> NDArray[np.float64]:
        """The unrounded values in output steps, zero point included, computed in float64 from the stored numbers."""
        value = sum(values * scale for values, scale in self._scaled())
        real = np.asarray(value) * self.weight_scales.astype(np.float64) + self.bias.astype(np.float64)
        return np.asarray(real / self.numbers.output_scale + self.numbers.zero_point)

    @property
    def ulp(self) -> NDArray[np.float64]:
        """What one unit in the last place of float32 is worth at the largest intermediate value, in output steps."""
        sizes = [np.abs(values) * scale * self.weight_scales.astype(np.float64) for values, scale in self._scaled()]
        largest = np.maximum.reduce([*sizes, np.abs(self.bias.astype(np.float64))]) / self.numbers.output_scale
        return np.asarray(np.spacing(np.maximum(largest, 1.0).astype(np.float32)), np.float64)

    def _scaled(self) -> Iterator[tuple[NDArray[np.float64], float]]:
        for values, scale in zip(self.exact, self.numbers.input_scales, strict=True):
            yield values.astype(np.float64), scale


def tie_distance(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far values, in steps, are from the nearest half: 0 at a tie, 0.5 at a whole step."""
    return np.asarray(np.abs((steps % 1.0) - 0.5))


def reproducing(calls: Sequence[tuple[Terms, NDArray[np.integer]]]) -> list[Formula]:
    """The formulas that give these codes at every element of every call; of all of one layer."""
    candidates = formulas(len(calls[0][0].exact))
    for terms, codes in calls:
        wanted, few = codes.astype(np.int64), terms.at(slice(_FIRST))
        candidates = [formula for formula in candidates if (formula.codes(few) == wanted[:_FIRST]).all()]
        candidates = [formula for formula in candidates if (formula.codes(terms) == wanted).all()]
    return candidates


def formulas(terms: int) -> list[Formula]:
    """All orders of evaluation for a product (1 term) or an addition (2 terms), plain ones first."""
    scaled = _products() if terms == 1 else _additions()
    return [
        Formula(text, function, rounding, inside)
        for rounding in ("half-even", "half-up")
        for inside in (False, True)
        for text, function in scaled
    ]


def _products() -> list[tuple[str, Callable[[Terms], Floats]]]:
    products: list[tuple[str, Callable[[Terms], Floats]]] = []
    for name, multiplier in _MULTIPLIERS.items():
        products.append((f"(acc + bias/(s_x*s_w)) * {name}", partial(_bias_before, multiplier, False)))
        products.append((f"(acc + bias*(1/(s_x*s_w))) * {name}", partial(_bias_before, multiplier, True)))
        for fused in (False, True):
            text = f"fma(acc, {name}, bias/s_y)" if fused else f"acc*{name} + bias/s_y"
            products.append((text, partial(_bias_scaled, multiplier, fused)))
    for order in ("acc*(s_x*s_w)", "(acc*s_x)*s_w", "(acc*s_w)*s_x"):
        for fused in (False, True):
            for divided in (False, True):
                last = "/ s_y" if divided else "* (1/s_y)"
                inner = f"fma({order}, bias)" if fused else f"{order} + bias"
                products.append((f"({inner}) {last}", partial(_bias_after, order, fused, divided)))
    for name, multiplier in _MULTIPLIERS.items():
        products.append((f"(acc + round(bias/(s_x*s_w))) * {name}", partial(_bias_rounded, multiplier)))
    return products


def _additions() -> list[tuple[str, Callable[[Terms], Floats]]]:
    return [
        ("(a*s_a + b*s_b) * (1/s_y)", partial(_sum_of_two, False, False)),
        ("(a*s_a + b*s_b) / s_y", partial(_sum_of_two, False, True)),
        ("fma(a, s_a, b*s_b) * (1/s_y)", partial(_sum_of_two, True, False)),
        ("fma(a, s_a, b*s_b) / s_y", partial(_sum_of_two, True, True)),
        ("(fma(a+z_a, s_a, -s_a*z_a) + fma(b+z_b, s_b, -s_b*z_b)) * (1/s_y)", partial(_sum_of_dequantized, True)),
        ("((s_a*(a+z_a) - s_a*z_a) + (s_b*(b+z_b) - s_b*z_b)) * (1/s_y)", partial(_sum_of_dequantized, False)),
        ("a*(s_a/s_y) + b*(s_b/s_y)", partial(_sum_of_ratios, False)),
        ("fma(a, s_a/s_y, b*(s_b/s_y))", partial(_sum_of_ratios, True)),
    ]


_MULTIPLIERS: dict[str, Callable[[Terms], Floats]] = {
    "(s_x*s_w/s_y)": lambda terms: (terms.weight_scales * _input(terms)) / _output(terms),
    "(s_x*(s_w/s_y))": lambda terms: _input(terms) * (terms.weight_scales / _output(terms)),
    "((s_x*s_w)*(1/s_y))": lambda terms: (terms.weight_scales * _input(terms)) * (np.float32(1) / _output(terms)),
    "((s_x/s_y)*s_w)": lambda terms: (_input(terms) / _output(terms)) * terms.weight_scales,
    "float32(s_x*s_w/s_y)": lambda terms: (
        terms.weight_scales.astype(np.float64) * terms.numbers.input_scales[0] / terms.numbers.output_scale
    ).astype(np.float32),
}


def _input(terms: Terms) -> np.float32:
    return np.float32(terms.numbers.input_scales[0])


def _output(terms: Terms) -> np.float32:
    return np.float32(terms.numbers.output_scale)


def _sums(terms: Terms) -> Floats:
    return terms.exact[0].astype(np.float32)


def _bias_before(multiplier: Callable[[Terms], Floats], reciprocal: bool, terms: Terms) -> Floats:
    both = terms.weight_scales * _input(terms)
    bias = terms.bias * (np.float32(1) / both) if reciprocal else terms.bias / both
    return (_sums(terms) + bias) * multiplier(terms)


def _bias_rounded(multiplier: Callable[[Terms], Floats], terms: Terms) -> Floats:
    whole = np.rint(terms.bias / (terms.weight_scales * _input(terms))).astype(np.int64)
    return (terms.exact[0] + whole).astype(np.float32) * multiplier(terms)


def _bias_scaled(multiplier: Callable[[Terms], Floats], fused: bool, terms: Terms) -> Floats:
    bias = terms.bias / _output(terms)
    separate: Floats = _sums(terms) * multiplier(terms) + bias
    return fused_multiply_add(_sums(terms), multiplier(terms), bias) if fused else separate


def _bias_after(order: str, fused: bool, divided: bool, terms: Terms) -> Floats:
    left, right = {
        "acc*(s_x*s_w)": (_sums(terms), terms.weight_scales * _input(terms)),
        "(acc*s_x)*s_w": (_sums(terms) * _input(terms), terms.weight_scales),
        "(acc*s_w)*s_x": (_sums(terms) * terms.weight_scales, np.full_like(terms.bias, _input(terms))),
    }[order]
    real: Floats = fused_multiply_add(left, right, terms.bias) if fused else left * right + terms.bias
    return _in_steps(real, divided, terms)


def _in_steps(real: Floats, divided: bool, terms: Terms) -> Floats:
    return real / _output(terms) if divided else real * (np.float32(1) / _output(terms))


def _sum_of_two(fused: bool, divided: bool, terms: Terms) -> Floats:
    return _in_steps(_weighted(fused, *_two_scales(terms), terms), divided, terms)


def _sum_of_ratios(fused: bool, terms: Terms) -> Floats:
    first, second = _two_scales(terms)
    return _weighted(fused, first / _output(terms), second / _output(terms), terms)


def _weighted(fused: bool, first: np.float32, second: np.float32, terms: Terms) -> Floats:
    a, b = (values.astype(np.float32) for values in terms.exact)
    total: Floats = fused_multiply_add(a, np.full_like(a, first), b * second) if fused else a * first + b * second
    return total


def _sum_of_dequantized(fused: bool, terms: Terms) -> Floats:
    sums = []
    for values, scale, zero in zip(terms.exact, _two_scales(terms), terms.numbers.input_zero_points, strict=True):
        codes, shift = (values + zero).astype(np.float32), -scale * np.float32(zero)
        scales, shifts = np.full_like(codes, scale), np.full_like(codes, shift)
        sums.append(fused_multiply_add(codes, scales, shifts) if fused else codes * scales + shifts)
    return _in_steps(sums[0] + sums[1], False, terms)


def _two_scales(terms: Terms) -> tuple[np.float32, np.float32]:
    first, second = terms.numbers.input_scales
    return np.float32(first), np.float32(second)

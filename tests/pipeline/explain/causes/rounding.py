"""A linear layer in numpy whose arithmetic is planted: in which order it adds up, and how, may depend on N."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Products
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.causes import Explanation, Subject, all_causes, explain_origin
from isobatch.pipeline.explain.summation.exact import fused_multiply_add
from isobatch.pipeline.records.study import CauseFinding

SUMMANDS, CHANNELS, ROWS = 40, 12, 4
BF16 = ml_dtypes.bfloat16
Sums = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""From factors x and w, both [summands, elements], to their sums [elements], in float32."""


def forwards(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    total = x[0] * w[0]
    for a, b in zip(x[1:], w[1:], strict=True):
        total = total + a * b
    return total


def in_blocks(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [forwards(x[start : start + 8], w[start : start + 8]) for start in range(0, len(x), 8)]
    return forwards(np.array(parts), np.ones_like(parts))


def fused(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    total = x[0] * w[0]
    for a, b in zip(x[1:], w[1:], strict=True):
        total = fused_multiply_add(a, b, total)
    return total


def mixed(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    """As Winograd's transforms do, products of sums: no summand has a place of its own."""
    half = len(x) // 2
    even, odd = x[:half] + x[half:], x[:half] - x[half:]
    return (forwards(even, w[:half] + w[half:]) + forwards(odd, w[:half] - w[half:])) / np.float32(2)


def exactly(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded once, whatever the order: no mask swallows anything."""
    return np.asarray((x.astype(np.float64) * w).sum(axis=0).astype(np.float32))


def in_bf16(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    """Forwards, with a sum kept in 16 bits."""
    total = x[0] * w[0]
    for a, b in zip(x[1:], w[1:], strict=True):
        total = (total + a * b).astype(BF16).astype(np.float32)
    return total


class PlantedLinear:
    """``alone`` and ``together``: how one row and how several are summed. The bias is added last."""

    def __init__(
        self, alone: Sums, together: Sums, dtype: Any = np.float32, names: tuple[str, str] = ("a", "a")
    ) -> None:
        draws = np.random.default_rng(0)
        self.sums = {False: alone, True: together}
        self.dtype = dtype
        self.names = names
        self.threads = 2
        self.weight = draws.standard_normal((CHANNELS, SUMMANDS)).astype(dtype)
        self.bias = draws.standard_normal(CHANNELS).astype(dtype)

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return self.with_operands(layer, inputs, self.weight, self.bias)

    def products(self, layer: str) -> Products | None:
        return Products(self.weight, self.bias)

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        rows, outputs = len(inputs[0]), len(weight)
        x = np.repeat(inputs[0].astype(np.float32), outputs, axis=0).T
        w = np.tile(weight.astype(np.float32), (rows, 1)).T
        sums = self.sums[rows > 1 and self.threads > 1](x, w).reshape(rows, outputs)
        return ((sums if bias is None else sums + bias.astype(np.float32)).astype(self.dtype),)

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        x, w, b = (part.astype(kind) for part in (inputs[0], self.weight, self.bias))
        return (np.stack([(row * w).sum(axis=1) + b for row in x]),)

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        return tuple(filter(None, (self.names[len(inputs[0]) > 1],)))

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        self.threads = 1
        try:
            yield
        finally:
            self.threads = 2


class Leaking(PlantedLinear):
    """Adds a little of the other rows, in every type."""

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return self._leaked(super().replay(layer, inputs)[0], inputs)

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        return self._leaked(super().widened(layer, inputs, kind)[0], inputs)

    def _leaked(self, outputs: NDArray[Any], inputs: Rows) -> Rows:
        return (outputs + (inputs[0].mean() if len(outputs) > 1 else 0) * outputs.dtype.type(1e-4),)


def subject(runner: Any, threads: int = 2) -> Subject:
    dtype = getattr(runner, "dtype", np.float32)
    rows = np.random.default_rng(1).standard_normal((ROWS, SUMMANDS)).astype(dtype)
    return Subject(runner, Layer("fc", "linear", "fc"), (rows,), ROWS, threads, seed=0)


OURS = ("vector-tail", "rounding-order", "different-algorithm", "kernel-switch", "thread-partition", "cast")


def explained(runner: Any, threads: int = 2) -> Explanation:
    """What the causes of rounding say of this layer."""
    return explain_origin(subject(runner, threads), [cause for cause in all_causes() if cause.name in OURS])


def finding(explanation: Explanation, name: str) -> CauseFinding:
    """What one of them found."""
    return next(one for one in explanation.causes if one.name == name)

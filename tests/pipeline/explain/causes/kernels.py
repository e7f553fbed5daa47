"""Layers as plain numpy functions of their rows, with and without a planted dependence on N, under examination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Accumulators, Crafted, IntegerCall
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.causes import Subject

Kernel = Callable[[NDArray[Any]], NDArray[Any]]
WIDTH = 12


class Runner:
    """One layer, which is this function of its rows."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return (self.kernel(inputs[0]),)


def examined(kernel: Kernel, batch: int = 3, seed: int = 0) -> Subject:
    """Five rows of noise, of which ``batch`` come together."""
    rows = np.random.default_rng(seed).standard_normal((5, WIDTH), np.float32)
    return Subject(Runner(kernel), Layer("fc", "linear", "fc"), (rows,), batch=batch, threads=1, seed=seed)


def last_bit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.nextafter(rows, np.float32(np.inf)) if len(rows) > 1 else rows.copy()


def batch_scale(rows: NDArray[Any]) -> NDArray[Any]:
    scale = np.abs(rows).max() / np.float32(127)
    return np.asarray(np.rint(rows / scale) * scale)


def mean_leak(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows + np.float32(0.01) * rows.mean(axis=0))


def swapped(rows: NDArray[Any]) -> NDArray[Any]:
    return rows[[1, 0, *range(2, len(rows))]] if len(rows) > 1 else rows.copy()


Epilogue = Callable[[NDArray[np.int64], Accumulators, int], NDArray[Any]]
"""From exact sums [n, outputs], the numbers of the layer, and N to codes."""

NUMBERS = Accumulators(
    exact=(),
    input_scales=(0.021,),
    input_zero_points=(0,),
    weight_scales=np.float32([0.0031, 0.0047, 0.0113, 0.0071]).astype(np.float64),
    bias=np.float32([0.4, -0.3, 2.7, 1.9]).astype(np.float64),
    output_scale=0.037,
    zero_point=3,
    low=3,
    high=255,
)


@dataclass
class IntegerRunner:
    """A linear layer of u8 inputs [n, 64] and s8 weights [4, 64]."""

    epilogue: Epilogue
    clips: int | None = None  # from this N on, at 16 bits in pairs

    def __post_init__(self) -> None:
        self.weights = np.random.default_rng(3).integers(-127, 128, (4, 64))

    def sums(self, rows: NDArray[Any], weights: NDArray[Any], clip: bool) -> NDArray[np.int64]:
        products = rows.astype(np.int64)[:, None] * weights
        pairs = products[..., 0::2] + products[..., 1::2]
        return np.asarray((np.clip(pairs, -(2**15), 2**15 - 1) if clip else pairs).sum(-1))

    def codes(self, rows: NDArray[Any], weights: NDArray[Any], numbers: Accumulators) -> NDArray[Any]:
        clip = self.clips is not None and len(rows) >= self.clips
        return self.epilogue(self.sums(rows, weights, clip), numbers, len(rows)).astype(np.uint8)

    def replay(self, layer: str, inputs: Rows) -> Rows:
        return (self.codes(inputs[0], self.weights, NUMBERS),)

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        return replace(NUMBERS, exact=(self.sums(inputs[0], self.weights, False),))

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        draws = np.random.default_rng(seed)
        weights, code = self.weights, draws.integers(0, 112, 64)
        numbers = NUMBERS
        if how in ("extremes", "tame"):
            weights = np.repeat([[127], [-128], [127], [-128]], 64, axis=1)
            code = np.full(64, 255 if how == "extremes" else 127)
            total = np.abs(weights.sum(1) * int(code[0]))
            numbers = replace(
                numbers,
                weight_scales=(64 * 0.037 / total / 0.021).astype(np.float32).astype(np.float64),
                bias=np.where(weights[:, 0] < 0, 128 * 0.037, 0.0).astype(np.float32).astype(np.float64),
            )
        else:
            exact = self.sums(code[None], weights, False)[0]
            steps = draws.integers(20, 90, 4) + (0.5 if how == "ties" else 0.0) - numbers.zero_point
            bias = steps * numbers.output_scale - exact * 0.021 * numbers.weight_scales
            numbers = replace(numbers, bias=bias.astype(np.float32).astype(np.float64))
        rows = np.repeat(code[None], batch, axis=0).astype(np.uint8)
        made = replace(numbers, exact=(self.sums(rows, weights, False),))
        single = self.codes(rows[:1], weights, numbers)
        return IntegerCall(np.repeat(single, batch, axis=0), self.codes(rows, weights, numbers), made)


def integers(epilogue: Epilogue, clips: int | None = None, found_by: str = "captured", rows: int = 4000) -> Subject:
    """The integer layer on random codes."""
    codes = np.random.default_rng(1).integers(0, 100, (rows, 64), np.uint8)
    layer = Layer("conv", "conv2d", "conv")
    return Subject(IntegerRunner(epilogue, clips), layer, (codes,), rows, threads=1, seed=0, found_by=found_by)


def fbgemm(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
    s_x, s_y = np.float32(numbers.input_scales[0]), np.float32(numbers.output_scale)
    s_w, bias = numbers.weight_scales.astype(np.float32), numbers.bias.astype(np.float32)
    steps = (sums.astype(np.float32) + bias / (s_w * s_x)) * ((s_w * s_x) / s_y)
    return np.clip(np.rint(steps) + numbers.zero_point, numbers.low, numbers.high)


def onednn(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
    s_x, s_y = np.float32(numbers.input_scales[0]), np.float32(numbers.output_scale)
    s_w, bias = numbers.weight_scales.astype(np.float32), numbers.bias.astype(np.float32)
    steps = (sums.astype(np.float32) * (s_w * s_x) + bias) * (np.float32(1) / s_y)
    return np.clip(np.rint(steps + np.float32(numbers.zero_point)), numbers.low, numbers.high)


def by_size(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
    """One order for single images, another for batches."""
    return (fbgemm if n == 1 else onednn)(sums, numbers, n)

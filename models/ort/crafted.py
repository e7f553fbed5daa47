"""Rows and constants crafted to show where one of onnxruntime's integer kernels leaves its exact sums."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isobatch.models.ort.examined import ExaminedGraphRunner
from isobatch.models.ort.integer import IntegerNode
from isobatch.models.ort.watch import WatchedGraph
from isobatch.models.shared.crafted_numbers import CODES, STEPS, TIE, extreme_steps, extreme_weights, nearby, pairs
from isobatch.models.spec.interventions import Accumulators, Crafted, IntegerCall
from isobatch.models.spec.runner import Rows


class IntegerGraphRunner(ExaminedGraphRunner):
    """What a runner of a watched graph whose activations have fixed scales offers besides."""

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        """The exact sums of an integer operator; None for other layers. Raises KeyError for an unknown layer."""
        node = IntegerNode.of(self._watched.alone(layer))
        return None if node is None else node.accumulators(inputs)

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        """Copies of one crafted image, alone and together; None before the first ``watch``. Raises as above.

        Of another layer with other constants: the same operator and shapes.
        """
        case = _run_crafted(self._watched, layer, batch, seed, how)
        exact = None if case is None else case.twin.accumulators(case.rows)
        if case is None or exact is None:
            return None
        return IntegerCall(np.broadcast_to(case.singles, case.batched.shape), case.batched, exact)

    def provoke(self, layer: str, batch: int, seed: int) -> tuple[int, int]:
        """(elements that differ, elements tried) on rounding ties of this layer; (0, 0) before the first ``watch``.

        Constant channels, and other biases and weight scales of the same operator: within 2 ULP of a tie. Raises
        KeyError for an unknown layer.
        """
        case = _run_crafted(self._watched, layer, batch, seed, "ties")
        return (0, 0) if case is None else (int((case.singles != case.batched).sum()), case.batched.size)


class _Case(NamedTuple):
    """A layer with its crafted constants, one image's rows for it, and what it makes of one and of several."""

    twin: IntegerNode
    rows: Rows
    singles: NDArray[Any]
    batched: NDArray[Any]


def _run_crafted(graph: WatchedGraph, layer: str, batch: int, seed: int, how: Crafted) -> _Case | None:
    node, shapes = IntegerNode.of(graph.alone(layer)), graph.shapes.get(layer)
    if node is None or shapes is None:
        return None
    draws = np.random.default_rng(seed)
    offset = TIE if how == "ties" else 0.0
    if how in CODES:
        made = _extremes(node, shapes[0], CODES[how])
    elif node.operator == "QuantizeLinear":
        steps = draws.integers(*STEPS, (1, *shapes[0])) + offset - node.scalar("y_zero")
        made = {}, (nearby(steps * node.scalar("y_scale"), draws),)
    elif node.operator == "QLinearAdd":
        made = _added(node, shapes, draws, offset)
    else:
        made = _on_ties(node, shapes[0], draws, offset)
    if made is None:
        return None
    values, rows = made
    given = {node.names[role]: array for role, array in values.items()}
    singles, batched = (
        graph.replay_with(layer, tuple(np.repeat(row, count, axis=0) for row in rows), given)[0] for count in (1, batch)
    )
    return _Case(replace(node, values=node.values | values), rows, singles, batched)


_Made = tuple[dict[str, NDArray[Any]], Rows]
"""Other constants by role, and one image's rows."""


def _on_ties(node: IntegerNode, shape: tuple[int, ...], draws: np.random.Generator, offset: float) -> _Made | None:
    """Constant channels; integer biases bring each sum near a step plus ``offset``, and weight scales the last bits."""
    if "bias" not in node.values or node.values["bias"].ndim != 1:
        return None
    weight = node.weight
    axis = len(shape) - 1 if node.channels_last else 0
    channels = shape[axis]
    codes = draws.integers(0, STEPS[1], channels)
    centred = codes - int(node.scalar("x_zero"))
    per_input = weight.reshape(*weight.shape[:2], -1).sum(axis=-1)
    groups = channels // weight.shape[1]
    inputs = centred.reshape(groups, 1, -1).repeat(len(weight) // groups, axis=1).reshape(len(weight), -1)
    sums = (per_input * inputs).sum(axis=1)
    steps = draws.integers(*STEPS, len(weight)) + offset - node.scalar("y_zero")
    scales = np.broadcast_to(node.values["w_scale"].reshape(-1), sums.shape).astype(np.float64)
    over = node.scalar("y_scale") / node.scalar("x_scale")
    wanted = np.rint(steps * over / scales).astype(np.int64)
    wanted[wanted == 0] = 1
    fitted = nearby(steps * over / wanted, draws)
    fitted = np.where((fitted > 0) & np.isfinite(fitted), fitted, scales).astype(np.float32)
    bias = wanted - sums
    if np.abs(bias).max() > np.iinfo(np.int32).max:
        return None
    rows = np.zeros((1, *shape), node.values["x_zero"].dtype if "x_zero" in node.values else np.uint8)
    rows[...] = codes if axis == len(shape) - 1 else codes.reshape(-1, 1, 1)
    return {"bias": bias.astype(np.int32), **_by_channel_scales(node, fitted)}, (rows,)


def _by_channel_scales(node: IntegerNode, scales: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """These scales, and as many zero points: operators want both in one shape."""
    if "w_zero" not in node.values:
        return {"w_scale": scales}
    zeros = np.broadcast_to(node.values["w_zero"].reshape(-1), scales.shape)
    return {"w_scale": scales, "w_zero": np.array(zeros)}


def _added(
    node: IntegerNode, shapes: tuple[tuple[int, ...], ...], draws: np.random.Generator, offset: float
) -> _Made | None:
    if len(shapes) != 2 or shapes[0] != shapes[1] or node.values["y_zero"].dtype != np.uint8:
        return None
    first, second, output = (
        (node.scalar(f"{role}_scale"), int(node.scalar(f"{role}_zero"))) for role in ("x", "w", "y")
    )
    return {}, pairs(first, second, output, (1, *shapes[0]), draws, offset)


def _extremes(node: IntegerNode, shape: tuple[int, ...], code: int) -> _Made | None:
    """Inputs of this code, and extreme weights; scales and biases put every exact sum of an image's middle above 0."""
    if "weight" not in node.values or "bias" not in node.values or node.values["weight"].dtype != np.int8:
        return None
    if node.values["y_zero"].dtype != np.uint8 or np.asarray(node.values.get("x_zero", np.uint8(0))).dtype != np.uint8:
        return None
    steps = extreme_steps(int(node.scalar("y_zero")))
    if steps is None or np.asarray(node.values.get("w_zero", 0)).any():
        return None
    weights = extreme_weights(node.weight.shape)
    sums = weights.astype(np.int64).reshape(len(weights), -1).sum(1) * (code - int(node.scalar("x_zero")))
    scales = steps * node.scalar("y_scale") / (np.maximum(np.abs(sums), 1) * node.scalar("x_scale"))
    bias = np.where(sums < 0, -2 * sums, 0)
    if np.abs(bias).max() > np.iinfo(np.int32).max:
        return None
    stored = weights.T if weights.ndim == 2 and not node.attributes.get("transB", 0) else weights
    values: dict[str, NDArray[Any]] = {"weight": np.ascontiguousarray(stored), "bias": bias.astype(np.int32)}
    values |= _by_channel_scales(node, scales.astype(np.float32))
    return values, (np.full((1, *shape), code, np.uint8),)

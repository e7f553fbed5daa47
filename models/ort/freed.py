"""Proof by running that a graph whose batch axis was freed still computes what the file computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from isobatch.models.ort.interface import fixed_batch, inputs_of
from isobatch.models.ort.session import open_session
from isobatch.models.spec.interface import Input

_CLOSE = 1e-3  # of the largest value: other kernels may run at another N, a wrong graph is far off


def same_when_freed(model: ModelProto, freed: ModelProto, size: int) -> bool:
    """Whether ``freed`` gives the bytes of ``model`` for ``size`` images, and for one and two of them as many rows.

    What is fed is made up: floats at random, integers zero. Raises what onnxruntime raises where one cannot run.
    """
    count = max(2, size)
    given = {one.name: _made_up(one, count) for one in inputs_of(freed)}
    alone = open_session(model.SerializeToString(), 1, quiet=True)
    free = open_session(freed.SerializeToString(), 1, quiet=True)
    want = alone.run(None, {name: array[:size] for name, array in given.items()})
    got = free.run(None, {name: array[:size] for name, array in given.items()})
    if any(one.tobytes() != other.tobytes() for one, other in zip(want, got, strict=True)):
        return False
    for n in (1, 2):
        rows = free.run(None, {name: array[:n] for name, array in given.items()})
        if any(row.shape[:1] != (n,) for row in rows):
            return False
        if n <= size and not all(_close(row, whole[:n]) for row, whole in zip(rows, want, strict=True)):
            return False
    return True


def shapes_of_a_call(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """The shape of each output of one call with as many images as the inputs say, or one. Raises as onnxruntime."""
    count = fixed_batch(model) or 1
    session = open_session(model.SerializeToString(), 1, optimise=False, quiet=True)
    values = session.run(None, {one.name: _made_up(one, count) for one in inputs_of(model)})
    return {output.name: value.shape for output, value in zip(session.get_outputs(), values, strict=True)}


def _made_up(one: Input, count: int) -> NDArray[np.generic]:
    shape = (count, *one.example_shape)
    if np.dtype(one.dtype).kind == "f":
        return np.random.default_rng(0).standard_normal(shape).astype(one.dtype)
    return np.zeros(shape, one.dtype)


def _close(row: NDArray[np.generic], whole: NDArray[np.generic]) -> bool:
    first, second = row.astype(np.float64), whole.astype(np.float64)
    return bool(np.allclose(first, second, rtol=0, atol=_CLOSE * max(1e-30, float(np.abs(second).max(initial=0)))))

"""A fixed batch axis freed, with the proof by running that the graph still computes what the file computes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from isobatch.models.ort.external_data import FixedBatch, OnnxError
from isobatch.models.ort.interface import (
    fixed_batch,
    free_batch,
    inputs_of,
    real_inputs,
    to_store,
    where_axes_lead,
    where_names_agree,
    where_names_say,
)
from isobatch.models.ort.session import open_session, ort_words
from isobatch.models.spec.interface import Input

_CLOSE = 1e-3  # of the largest value: other kernels may run at another N, a wrong graph is far off


def with_free_batch(model: ModelProto, path: Path) -> tuple[ModelProto, tuple[str, ...]]:
    """The model with a free first axis, proved by running it where it was fixed; a note where it was.

    Raises OnnxError where the number is inside the graph as well.
    """
    size = fixed_batch(model)
    if size is None:
        return free_batch(model), ()
    if size > 1 and (axes := where_names_agree(model)):
        raise OnnxError(
            f"{path}: its first axis is fixed at {size}, and another is free, the same in every input and output: "
            f"where that is the batch, add --batch-axis {axes}; where it is not, {_export_again(model)}"
        )
    shared = [value for value in real_inputs(model) if value.type.tensor_type.shape.dim[0].dim_value]
    beside = [value.name for value in real_inputs(model) if not value.type.tensor_type.shape.dim[0].dim_value]
    failure: Exception | None = None
    for reshapes in (False, True):
        try:
            freed = free_batch(model, reshapes)
            if same_when_freed(model, freed, size):
                how = "its axis, and what Reshape nodes hold of it," if reshapes else "its axis"
                return freed, (
                    f"its batch was fixed at {size}: {how} was freed, and it gives the bytes of the file at N = {size}",
                )
        except Exception as error:  # onnxruntime's exceptions share no public base class
            failure = failure or error
    if beside:
        axes = where_names_say(model)
        shared_by_all = f"where it is one array for all images, {to_store(shared[0])}"
        same = f"{shared_by_all}; where each has its own, {_export_again(model)}"
        raise OnnxError(
            f"{path}: the batch is free in {beside[0]!r}, and {shared[0].name!r} has a first axis of "
            f"{shared[0].type.tensor_type.shape.dim[0].dim_value} and does not follow it: "
            f"{f'by the names of their axes the batch is at --batch-axis {axes}' if axes else same}"
        )
    raise FixedBatch(
        f"{path}: its batch of {size} is baked into the graph, and batch sizes are what is compared; freeing the axis "
        f"does not help ({ort_words(failure) if failure else 'the outputs change'}): {_export_again(model)}"
        f"{_elsewhere(model)}"
    )


def require_one_batch(model: ModelProto, path: Path) -> None:
    """Raise OnnxError where every input's first axis is fixed, and they are not of one length."""
    values = real_inputs(model)
    first = {value.name: value.type.tensor_type.shape.dim[0].dim_value for value in values}
    if 0 in first.values() or len({*first.values()}) == 1:
        return
    told = " and ".join(f"{length} in {name!r}" for name, length in first.items())
    least = min(values, key=lambda value: (len(value.type.tensor_type.shape.dim), first[value.name]))
    axes = where_names_say(model) or ",".join(f"{value.name}=1" for value in (*values, *model.graph.output))
    raise OnnxError(
        f"{path}: the first axes of its inputs differ ({told}), so they are no batch: where {least.name!r} is one "
        f"array for all images, {to_store(least)}; where the batch is another axis, say which: --batch-axis {axes}"
    )


def _export_again(model: ModelProto) -> str:
    """How a network is exported from torch with a free batch, and pictures with free sides."""
    axes = ["{0: 'n', 2: 'h', 3: 'w'}" if tensor.layout == "NCHW" else "{0: 'n'}" for tensor in inputs_of(model)]
    return f"export it again with torch.onnx.export(..., dynamic_shapes=({', '.join(axes)},))"


def _elsewhere(model: ModelProto) -> str:
    """Where the batch may be instead: another axis that is free in every input and output."""
    axes = where_names_say(model) or where_axes_lead(model)
    return f"; where its batch is another axis: --batch-axis {axes}" if axes else ""


def same_when_freed(model: ModelProto, freed: ModelProto, size: int) -> bool:
    """Whether ``freed`` gives the bytes of ``model`` for ``size`` images, and for one and two of them as many rows.

    What is fed is made up: floats at random, integers zero. Raises what onnxruntime raises where one cannot run.
    """
    count = max(2, size)
    given = {tensor.name: made_up(tensor, count) for tensor in inputs_of(freed)}
    alone = open_session(model.SerializeToString(), 1, quiet=True)
    free = open_session(freed.SerializeToString(), 1, quiet=True)
    want = alone.run(None, {name: array[:size] for name, array in given.items()})
    got = free.run(None, {name: array[:size] for name, array in given.items()})
    if any(wanted.tobytes() != other.tobytes() for wanted, other in zip(want, got, strict=True)):
        return False
    for n in (1, 2):
        rows = free.run(None, {name: array[:n] for name, array in given.items()})
        if any(row.shape[:1] != (n,) for row in rows):
            return False
        if n <= size and not all(_close(row, whole[:n]) for row, whole in zip(rows, want, strict=True)):
            return False
    return True


def made_up(input_: Input, count: int) -> NDArray[np.generic]:
    """An array [count, ...] that this input takes: floats at random, integers zero."""
    shape = (count, *input_.example_shape)
    if np.dtype(input_.dtype).kind == "f":
        return np.random.default_rng(0).standard_normal(shape).astype(input_.dtype)
    return np.zeros(shape, input_.dtype)


def _close(row: NDArray[np.generic], whole: NDArray[np.generic]) -> bool:
    first, second = row.astype(np.float64), whole.astype(np.float64)
    largest = float(np.abs(second[np.isfinite(second)]).max(initial=0))
    return bool(np.allclose(first, second, rtol=0, atol=_CLOSE * max(1e-30, largest), equal_nan=True))

"""What runs inside a worker for ``ops``: the kernels of one arithmetic, N = 1 against N = k."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.operations.table import OPERATIONS, Kernel, Operation, draw_parameters, draw_rows
from isobatch.models.registry import load
from isobatch.pipeline.compare.batch_classes import classes_of
from isobatch.pipeline.compare.metrics.ulp import steps
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import joined_digests, row_digests
from isobatch.pipeline.processes.wire import Emit, Told
from isobatch.pipeline.tools.ops.measure import ArithmeticAsked, AtSize, OperationResult


def measure(payload: dict[str, Any], emit: Emit) -> list[dict[str, Any]]:
    """Every operation of ``ArithmeticAsked``, as JSON values of ``OperationResult``."""
    results, asked = [], ArithmeticAsked.of(payload)
    with load(asked.arithmetic.open)(asked.arithmetic.name, asked.threads) as prepare:
        for number, operation in enumerate(OPERATIONS):
            generator = np.random.Generator(np.random.PCG64([asked.seed, number]))
            parameters = draw_parameters(operation, generator)
            kernel = None if operation.kind == asked.left_out else prepare(operation, parameters)
            if kernel is not None:
                rows = draw_rows(operation, max(asked.batch_sizes), generator)
                results.append(measure_op(operation, kernel, rows, asked.batch_sizes).model_dump(mode="json"))
            emit(Told(images=1).to_json())
    return results


def measure_op(
    operation: Operation, kernel: Kernel, drawn: NDArray[np.float32], batch_sizes: Sequence[int]
) -> OperationResult:
    """This kernel on the first N of the drawn rows for each N, against the same rows alone."""
    count = max(batch_sizes)
    rows = kernel.given(drawn)
    singles = np.concatenate([kernel.run(rows[i : i + 1]) for i in range(count)])
    outputs = {n: kernel.run(rows[:n]) for n in batch_sizes}
    sizes = [_at_size(singles[:n], batched) for n, batched in outputs.items()]
    classes = [[1, *batch_sizes]]
    if any(at.elements_differing for at in sizes):
        seen = {1: singles, **outputs}
        classes = classes_of(
            {n: joined_digests(None, row_digests([part], len(part)), count) for n, part in seen.items()}
        )
    first = {1: singles, **{n: outputs[n] for n in batch_sizes[:1]}}
    again = all(np.array_equal(bits(kernel.run(rows[:n])), bits(part[:n])) for n, part in first.items())
    return OperationResult(
        operation=operation.name, kind=operation.kind, repeatable=again, sizes=sizes, classes=classes
    )


def _at_size(singles: NDArray[Any], batched: NDArray[Any]) -> AtSize:
    differs = bits(singles) != bits(batched)
    left, other = singles[differs], batched[differs]
    distance = np.abs(left.astype(np.float64) - other.astype(np.float64))
    return AtSize(
        batch_size=len(batched),
        elements=singles.size,
        elements_differing=int(differs.sum()),
        max_abs=float(distance.max(initial=0.0)),
        max_ulp=float(steps(left, other).max(initial=0.0)),
    )

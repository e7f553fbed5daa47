"""Single operations, N = 1 against N = k: what each runtime and precision does at ResNet50's own shapes.

A plain measurement: seeded data, bytes compared as bytes, each arithmetic in a worker of its own. No cause is sought.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from isobatch.models.operations.table import (
    ARITHMETICS,
    Arithmetic,
)
from isobatch.models.registry import find_variant
from isobatch.pipeline.machine.emulation import emulated
from isobatch.pipeline.machine.environment import cpu_flags, worker_settings
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.processes.wire import Crossing, Told
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import Environment, Real, Record, Tool

EMULATED_WITHOUT = "conv2d"  # what is left out where an arithmetic is emulated: minutes of work that nobody deploys


class AtSize(Record):
    """The rows of one operation at N = ``batch_size`` against the same rows alone."""

    batch_size: int
    elements: int
    elements_differing: int
    max_abs: Real  # largest |difference|, of integer results in steps
    max_ulp: Real  # in the result's own type


class OperationResult(Record):
    """One operation in one arithmetic."""

    operation: str
    kind: str
    repeatable: bool  # the first row alone and the smallest batch gave the same bytes again after all other N had run
    sizes: list[AtSize]
    classes: list[list[int]]  # batch sizes whose rows are equal, byte for byte


class InArithmetic(Record):
    """All operations in one arithmetic, or why there are none."""

    arithmetic: str
    status: Literal["measured", "unavailable", "failed"]
    reason: str | None = None
    remedy: str | None = None
    note: str = ""  # what was left out, or ""
    operations: tuple[OperationResult, ...] = ()


@dataclass(frozen=True)
class ArithmeticAsked(Crossing):
    """Every operation of one arithmetic at each N."""

    arithmetic: Arithmetic
    threads: int
    batch_sizes: tuple[int, ...]
    seed: int
    left_out: str  # the kind of those that are too slow here, or ""


class OpsReport(Record):
    """The whole map: what ``run.py ops --json`` prints."""

    schema_version: int = 1
    tool: Tool
    environment: Environment
    seed: int
    batch_sizes: list[int]
    results: list[InArithmetic]

    def exit_code(self) -> Exit:
        """DONE, or PARTIAL where an arithmetic could not be measured."""
        return Exit.DONE if all(result.status == "measured" for result in self.results) else Exit.PARTIAL


def measure_arithmetics(
    workers: Workers, threads: int, batch_sizes: Sequence[int], seed: int, say: Callable[[str, int], None]
) -> list[InArithmetic]:
    """Every arithmetic in turn, each in a fresh worker. ``say(name, 1)`` after each of its operations."""
    asked = [ArithmeticAsked(each, threads, tuple(batch_sizes), seed, _left_out(each)) for each in ARITHMETICS]
    return [_in_worker(workers, each, say) for each in asked]


def _left_out(arithmetic: Arithmetic) -> str:
    return EMULATED_WITHOUT if emulated(find_variant(arithmetic.name), cpu_flags()) else ""


def _in_worker(workers: Workers, asked: ArithmeticAsked, say: Callable[[str, int], None]) -> InArithmetic:
    name, left_out = asked.arithmetic.name, asked.left_out
    try:
        results = workers.call(
            worker_settings(asked.threads),
            "isobatch.pipeline.tools.ops.in_worker:measure",
            asked.to_json(),
            lambda event: say(name, Told.of(event).images),
        )
    except WorkerError as error:
        status: Literal["unavailable", "failed"] = "unavailable" if error.kind == "VariantUnavailable" else "failed"
        return InArithmetic(arithmetic=name, status=status, reason=error.reason, remedy=error.remedy)
    note = f"{name} arithmetic is emulated on this processor: {left_out} is left out as too slow" if left_out else ""
    return InArithmetic(
        arithmetic=name, status="measured", note=note, operations=tuple(OperationResult(**fields) for fields in results)
    )

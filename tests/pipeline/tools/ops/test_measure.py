"""Single operations: what is measured of a kernel with a planted dependence on N, and of the real ones."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.operations.table import (
    ARITHMETICS,
    OPERATIONS,
    Arithmetic,
    Kernel,
    Operation,
    draw_parameters,
    draw_rows,
)
from isobatch.models.registry import load
from isobatch.pipeline.processes import pool as execute
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.study import Environment, Tool
from isobatch.pipeline.tools.ops import measure as ops
from isobatch.pipeline.tools.ops.in_worker import measure_op
from isobatch.pipeline.tools.ops.measure import (
    InArithmetic,
    OperationResult,
    OpsReport,
    measure_arithmetics,
)
from isobatch.reports.blocks import Paragraph, Table
from isobatch.reports.pages.ops_map import sections
from isobatch.reports.screen.terminal import print_sections
from tests.waiting import ENDS_S

SMALL = Operation("linear", (8,), 4)
ROWS = np.random.default_rng(0).standard_normal((4, 8), np.float32)
TINY = (
    Operation("conv2d", (8, 6, 6), 4, kernel=3),
    Operation("linear", (16,), 5),
    Operation("matmul", (16,), 5),
    Operation("dynamic-linear", (16,), 5),
    Operation("batch-norm", (4, 3, 3)),
    Operation("relu", (4, 3, 3)),
    Operation("add", (4, 3, 3)),
    Operation("max-pool", (4, 6, 6), kernel=3, stride=2),
    Operation("average-pool", (4, 3, 3)),
    Operation("softmax", (10,)),
    Operation("quantize", (3, 4, 4)),
)


def moved(above: int) -> Kernel:
    """Every row's first value one ULP up where more than ``above`` rows come together."""

    def run(rows: NDArray[Any]) -> NDArray[Any]:
        out = rows.copy()
        if len(rows) > above:
            out[:, 0] = np.nextafter(out[:, 0], np.float32(np.inf))
        return out

    return Kernel(run)


def test_a_planted_ulp_is_counted_at_each_n_and_makes_two_classes() -> None:
    measured = measure_op(SMALL, moved(above=2), ROWS, [2, 3, 4])
    assert [(at.batch_size, at.elements_differing, at.elements) for at in measured.sizes] == [
        (2, 0, 16),
        (3, 3, 24),
        (4, 4, 32),
    ]
    assert [at.max_ulp for at in measured.sizes] == [0.0, 1.0, 1.0]
    assert measured.classes == [[1, 2], [3, 4]]
    assert measured.repeatable


def test_a_faithful_kernel_has_one_class() -> None:
    measured = measure_op(SMALL, Kernel(lambda rows: rows * np.float32(3)), ROWS, [2, 4])
    assert measured.classes == [[1, 2, 4]] and not any(at.elements_differing for at in measured.sizes)


def test_integers_differ_in_steps() -> None:
    measured = measure_op(SMALL, Kernel(lambda rows: (rows * 10).astype(np.int8) + np.int8(len(rows) > 1)), ROWS, [4])
    assert measured.sizes[0].max_abs == measured.sizes[0].max_ulp == 1.0


def test_a_kernel_that_does_not_repeat_is_named() -> None:
    draws = np.random.default_rng(1)
    measured = measure_op(SMALL, Kernel(lambda rows: rows + draws.standard_normal(rows.shape, np.float32)), ROWS, [2])
    assert not measured.repeatable


@pytest.mark.parametrize("arithmetic", ["fp64", "fp32", "bf16", "int8-fbgemm", "int8-x86", "ort-fp32", "ort-int8"])
def test_every_kernel_gives_one_row_an_image_near_the_float_result(arithmetic: str) -> None:
    """Not of another operation: the result is close to float64's, scaled back from its codes where it is quantized."""
    (row,) = (one for one in ARITHMETICS if one.name == arithmetic)
    with load(ARITHMETICS[0].open)("fp64", 1) as exactly, load(row.open)(row.name, 1) as prepare:
        for operation in TINY:
            drawn = draw_parameters(operation, np.random.default_rng(2))
            rows = draw_rows(operation, 3, np.random.default_rng(3))
            kernel, exact = prepare(operation, drawn), exactly(operation, drawn)
            if kernel is None:
                assert operation.kind in ("matmul", "batch-norm", "softmax", "relu", "quantize", "dynamic-linear")
                continue
            result = kernel.run(kernel.given(rows))
            assert len(result) == 3
            if exact is not None and result.dtype != np.uint8:
                expected = exact.run(rows)
                assert np.allclose(result.astype(np.float64), expected, rtol=0.05, atol=0.05), operation.name
            elif exact is not None and operation.kind != "softmax":
                expected = exact.run(rows).ravel()
                assert np.corrcoef(result.astype(np.float64).ravel(), expected)[0, 1] > 0.9, operation.name


def test_names_are_unique_and_windows_of_drawn_rows_differ() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    rows = draw_rows(SMALL, 5, np.random.default_rng(0))
    assert len({row.tobytes() for row in rows}) == 5


def crash(payload: Any, emit: Any) -> None:
    raise SystemExit(7)


def test_an_arithmetic_whose_worker_ends_is_recorded_and_the_report_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "PRELOAD", "json")
    monkeypatch.setattr(ops, "ARITHMETICS", (Arithmetic("fp32", "no.such:thing"),))
    with Workers(timeout_s=ENDS_S) as workers:
        (found,) = measure_arithmetics(workers, 1, [2], 1, lambda name, cost: None)
    assert found.status == "failed" and found.reason and "no" in found.reason
    assert report(found).exit_code() == 3


def report(*results: InArithmetic) -> OpsReport:
    environment = Environment(
        cpu="<b>CPU</b>",
        cores=2,
        memory_bytes=1,
        os="Linux",
        python="3.11",
        isa_hardware="AVX2",
        isa_effective={},
        threads=2,
        packages={"numpy": "2"},
    )
    return OpsReport(tool=Tool(version="0"), environment=environment, seed=1, batch_sizes=[2, 3, 4], results=[*results])


def in_arithmetic(name: str, *operations: OperationResult) -> InArithmetic:
    return InArithmetic(arithmetic=name, status="measured", operations=operations)


def test_the_map_shows_a_sign_for_each_n_the_classes_and_what_is_missing() -> None:
    differing = measure_op(SMALL, moved(above=2), ROWS, [2, 3, 4])
    missing = InArithmetic(arithmetic="int8-x86", status="unavailable", reason="no engine", remedy="install it")
    whole = report(in_arithmetic("fp32", differing), in_arithmetic("fp64"), missing)
    by_name = {section.name: section.blocks for section in sections(whole)}
    table = by_name["map"][0]
    assert isinstance(table, Table)
    assert table.rows == (("linear 8 to 4", "=≠≠", None),)
    assert isinstance(by_name["map"][1], Paragraph) and "no engine" in str(by_name["map"][1])
    classes = by_name["classes"][0]
    assert isinstance(classes, Table)
    assert classes.rows == (("fp32", "{1, 2} {3, 4}", "linear 8 to 4"),)


def test_where_nothing_was_measured_nothing_is_said_of_n() -> None:
    missing = InArithmetic(arithmetic="int8-x86", status="unavailable", reason="no engine", remedy="install it")
    told = printed(report(missing))
    assert "No arithmetic could be measured." in told
    assert "depended on N" not in told and "gave the same bytes" not in told


def printed(ops_report: OpsReport) -> str:
    stream = io.StringIO()
    print_sections(sections(ops_report), stream)
    return stream.getvalue()


def test_what_is_printed_is_whole_and_the_json_is_strict() -> None:
    whole = report(in_arithmetic("fp32", measure_op(SMALL, moved(above=1), ROWS, [2, 3, 4])))
    text = printed(whole)
    assert "<b>CPU" in text and "≠≠≠" in text
    assert OpsReport.model_validate(json.loads(whole.model_dump_json())) == whole

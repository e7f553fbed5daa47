"""Mechanisms of rounding: each named where it is planted, and none where something else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline import order_probe
from pipeline.causes import Explanation, all_causes, different_algorithm, explain_origin, rounding_order
from pipeline.causes.orders import orders
from tests.pipeline.causes.rounding import (
    BF16,
    Leaking,
    PlantedLinear,
    Sums,
    exactly,
    forwards,
    fused,
    in_bf16,
    in_blocks,
    mixed,
    subject,
)

OURS = ("vector-tail", "rounding-order", "different-algorithm", "kernel-switch", "thread-partition", "cast")


def explained(runner: Any, threads: int = 2) -> Explanation:
    return explain_origin(subject(runner, threads), [cause for cause in all_causes() if cause.name in OURS])


@pytest.mark.parametrize(("alone", "together"), [(forwards, in_blocks), (in_blocks, fused)])
def test_two_orders_are_rounding_order_and_proved(alone: Sums, together: Sums) -> None:
    found = explained(PlantedLinear(alone, together))
    assert found.mechanism == "rounding-order"
    (finding,) = [one for one in found.findings if one.name == "rounding-order"]
    assert finding.trees.keys() == {"N = 1", "N = 4"}
    words = sorted(finding.trees.values())
    assert words[0] == "41 summands, 12 additions deep: 5 chains of 8, added one after another, then the bias"
    assert words[1].startswith("41 summands, 40 additions deep: a chain of 41 with the bias")
    assert "for 48 of 48" in finding.evidence and "and 48 of 48" in finding.evidence


@pytest.mark.parametrize("dtype", [BF16, np.float16])
def test_sixteen_bit_layers_that_sum_in_float32_are_probed_too(dtype: Any) -> None:
    runner = PlantedLinear(forwards, in_blocks, dtype)
    found = orders(subject(runner))
    assert found.two_trees
    assert [(one.reproduced, one.sampled) for one in found.replays.values()] == [(48, 48), (48, 48)]


def test_where_only_some_summands_are_asked_for_the_proof_is_about_these(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {**order_probe.SCALES, "float32": replace(order_probe.SCALES["float32"], most=24)}
    monkeypatch.setattr(order_probe, "SCALES", few)
    runner = PlantedLinear(forwards, in_blocks)
    found = orders(subject(runner))
    assert found.two_trees and "of 41 summands" in found.words["N = 1"]
    assert all(one.reproduced == one.sampled > 0 for one in found.replays.values())


def test_one_order_with_and_without_fused_multiply_add_is_another_algorithm() -> None:
    found = explained(PlantedLinear(forwards, fused))
    assert found.mechanism == "different-algorithm"
    last = next(one for one in found.findings if one.name == "different-algorithm")
    assert "one by separate multiplication and addition, the other by fused multiply-add" in last.evidence


def test_a_kernel_without_a_plain_tree_is_another_algorithm_and_never_drawn() -> None:
    found = explained(PlantedLinear(forwards, exactly))
    assert found.mechanism == "different-algorithm"
    last = next(one for one in found.findings if one.name == "different-algorithm")
    assert last.trees["N = 4"].startswith("not a summation tree: ")


def test_a_tree_that_does_not_give_the_kernels_bits_is_not_believed() -> None:
    found = explained(PlantedLinear(forwards, mixed))
    assert found.mechanism == "different-algorithm"
    last = next(one for one in found.findings if one.name == "different-algorithm")
    assert last.trees["N = 4"].startswith("not a summation tree: replayed, it gives the kernel's bits for only ")


def test_what_float64_does_not_remove_is_not_rounding() -> None:
    leak = subject(Leaking(forwards, forwards))
    for cause in (rounding_order, different_algorithm):
        finding = cause.probe(leak)
        assert finding.verdict == "refuted" and "In float64 the largest difference" in finding.evidence


def test_rows_that_show_no_difference_support_no_mechanism() -> None:
    found = explained(PlantedLinear(forwards, forwards))
    assert found.mechanism == "unexplained" and not found.triggers


def test_another_operation_in_float64_is_not_taken_for_evidence() -> None:
    class Wrong(PlantedLinear):
        def widened(self, layer: str, inputs: Any, kind: Any) -> Any:
            return (np.zeros_like(super().widened(layer, inputs, kind)[0]),)

    finding = rounding_order.probe(subject(Wrong(forwards, in_blocks)))
    assert finding.verdict == "inconclusive" and "other results altogether" in finding.evidence


def test_triggers_are_told_apart() -> None:
    by_threads = explained(PlantedLinear(forwards, in_blocks))
    assert by_threads.triggers == ("thread-partition",)
    assert explained(PlantedLinear(forwards, in_blocks), threads=1).triggers == ()
    switched = explained(PlantedLinear(forwards, in_blocks, names=("gemv", "gemm")), threads=1)
    assert switched.triggers == ("kernel-switch",)


def test_a_kernel_that_keeps_no_log_is_inconclusive() -> None:
    found = explained(PlantedLinear(forwards, in_blocks, names=("", "")), threads=1)
    (finding,) = [one for one in found.findings if one.name == "kernel-switch"]
    assert finding.verdict == "inconclusive"


def test_a_difference_that_float32_does_not_have_is_the_casts() -> None:
    found = explained(PlantedLinear(forwards, in_bf16, BF16))
    assert (found.mechanism, found.triggers) == ("different-algorithm", ("thread-partition", "cast"))


def test_a_probe_leaves_the_layer_as_it_was() -> None:
    runner = PlantedLinear(forwards, in_blocks)
    before = runner.weight.tobytes(), runner.bias.tobytes(), runner.threads
    explained(runner)
    assert (runner.weight.tobytes(), runner.bias.tobytes(), runner.threads) == before

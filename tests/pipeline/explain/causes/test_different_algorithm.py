"""Rounding without two plain orders of addition: other places to round, and kernels that no tree describes."""

from __future__ import annotations

import pytest

from isobatch.pipeline.explain.causes import different_algorithm
from tests.pipeline.explain.causes.rounding import (
    Leaking,
    PlantedLinear,
    exactly,
    explained,
    finding,
    forwards,
    fused,
    mixed,
    subject,
)


def test_one_order_with_and_without_fused_multiply_add_is_another_algorithm() -> None:
    explanation = explained(PlantedLinear(forwards, fused))
    assert explanation.mechanism == "different-algorithm"
    last = finding(explanation, "different-algorithm")
    assert "one by separate multiplication and addition, the other by fused multiply-add" in last.evidence


def test_a_kernel_without_a_plain_tree_is_another_algorithm_and_never_drawn() -> None:
    explanation = explained(PlantedLinear(forwards, exactly))
    assert explanation.mechanism == "different-algorithm"
    last = finding(explanation, "different-algorithm")
    assert last.trees["4"].startswith("not a summation tree: ")


def test_a_tree_that_does_not_give_the_kernels_bits_is_not_believed() -> None:
    explanation = explained(PlantedLinear(forwards, mixed))
    assert explanation.mechanism == "different-algorithm"
    last = finding(explanation, "different-algorithm")
    assert last.trees["4"].startswith("not a summation tree: replayed, it gives the kernel's bits for only ")


def test_what_float64_does_not_remove_is_no_algorithm_of_rounding() -> None:
    said = different_algorithm.probe(subject(Leaking(forwards, forwards)))
    assert said.verdict == "refuted"


def test_an_order_that_could_not_be_asked_for_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isobatch.pipeline.explain.summation.probe._MOST_CALLS", 0)
    explanation = explained(PlantedLinear(forwards, fused))
    assert explanation.mechanism == "unexplained"
    assert finding(explanation, "different-algorithm").trees["1"].startswith("not asked: ")

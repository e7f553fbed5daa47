"""What logs name, kept apart from mechanisms."""

from __future__ import annotations

from tests.pipeline.explain.causes.rounding import PlantedLinear, explained, finding, forwards, in_blocks


def test_a_kernel_that_keeps_no_log_is_inconclusive() -> None:
    explanation = explained(PlantedLinear(forwards, in_blocks, names=("", "")), threads=1)
    said = finding(explanation, "kernel-switch")
    assert said.verdict == "inconclusive"


def test_another_name_is_a_trigger_and_the_same_name_is_no_proof() -> None:
    switched = explained(PlantedLinear(forwards, in_blocks, names=("gemv", "gemm")), threads=1)
    assert switched.triggers == ("kernel-switch",)
    assert finding(switched, "kernel-switch").evidence == "Logged at N = 1: [gemv]; at N = 4: [gemm]."
    same = explained(PlantedLinear(forwards, in_blocks), threads=1)
    assert same.mechanism == "rounding-order" and same.triggers == ()
    assert finding(same, "kernel-switch").evidence.endswith("That is no proof of the same arithmetic.")


def test_a_log_at_one_n_only_is_a_switch() -> None:
    assert explained(PlantedLinear(forwards, in_blocks, names=("", "gemm")), threads=1).triggers == ("kernel-switch",)

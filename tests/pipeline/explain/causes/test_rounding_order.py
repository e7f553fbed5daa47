"""Two orders of addition: named and proved where they are planted, and nothing else taken for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isobatch.pipeline.explain.causes import rounding_order
from isobatch.pipeline.explain.causes._orders import orders
from isobatch.pipeline.explain.summation import probe as order_probe
from tests.pipeline.explain.causes.rounding import (
    BF16,
    Leaking,
    PlantedLinear,
    Sums,
    explained,
    finding,
    forwards,
    fused,
    in_blocks,
    subject,
)


@pytest.mark.parametrize(("alone", "together"), [(forwards, in_blocks), (in_blocks, fused)])
def test_two_orders_are_rounding_order_and_proved(alone: Sums, together: Sums) -> None:
    explanation = explained(PlantedLinear(alone, together))
    assert explanation.mechanism == "rounding-order"
    said = finding(explanation, "rounding-order")
    assert said.trees.keys() == {"1", "4"}
    words = sorted(said.trees.values())
    assert words[0] == "41 summands, 12 additions deep: 5 chains of 8, added one after another, then the bias"
    assert words[1].startswith("41 summands, 40 additions deep: a chain of 41 with the bias")
    assert "for 48 of 48" in said.evidence and "and 48 of 48" in said.evidence


@pytest.mark.parametrize("dtype", [BF16, np.float16])
def test_sixteen_bit_layers_that_sum_in_float32_are_probed_too(dtype: Any) -> None:
    runner = PlantedLinear(forwards, in_blocks, dtype)
    revealed = orders(subject(runner))
    assert revealed.two_trees
    assert [(replay.reproduced, replay.sampled) for replay in revealed.replays.values()] == [(48, 48), (48, 48)]


def test_where_only_some_summands_are_asked_for_the_proof_is_about_these(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {**order_probe.SCALES, "float32": replace(order_probe.SCALES["float32"], most=24)}
    monkeypatch.setattr(order_probe, "SCALES", few)
    runner = PlantedLinear(forwards, in_blocks)
    revealed = orders(subject(runner))
    assert revealed.two_trees and "of 41 summands" in revealed.words["1"]
    assert all(replay.reproduced == replay.sampled > 0 for replay in revealed.replays.values())


def test_what_float64_does_not_remove_is_not_rounding() -> None:
    said = rounding_order.probe(subject(Leaking(forwards, forwards)))
    assert said.verdict == "refuted" and "In float64 the largest difference" in said.evidence


def test_rows_that_show_no_difference_support_no_mechanism() -> None:
    explanation = explained(PlantedLinear(forwards, forwards))
    assert explanation.mechanism == "unexplained" and not explanation.triggers


def test_another_operation_in_float64_is_not_taken_for_evidence() -> None:
    class Wrong(PlantedLinear):
        def widened(self, layer: str, inputs: Any, kind: Any) -> Any:
            return (np.zeros_like(super().widened(layer, inputs, kind)[0]),)

    said = rounding_order.probe(subject(Wrong(forwards, in_blocks)))
    assert said.verdict == "inconclusive" and "other results altogether" in said.evidence


def test_a_probe_leaves_the_layer_as_it_was() -> None:
    runner = PlantedLinear(forwards, in_blocks)
    before = runner.weight.tobytes(), runner.bias.tobytes(), runner.threads
    explained(runner)
    assert (runner.weight.tobytes(), runner.bias.tobytes(), runner.threads) == before

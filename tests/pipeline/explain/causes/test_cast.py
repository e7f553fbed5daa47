"""A difference of 16 bits that float32 does not have."""

from __future__ import annotations

from typing import Literal

from isobatch.models.spec.runner import Rows
from tests.pipeline.explain.causes.rounding import BF16, PlantedLinear, explained, finding, forwards, in_bf16


def test_a_difference_that_float32_does_not_have_is_the_casts() -> None:
    explanation = explained(PlantedLinear(forwards, in_bf16, BF16))
    assert (explanation.mechanism, explanation.triggers) == ("different-algorithm", ("thread-partition", "cast"))


def test_layers_of_32_bits_are_not_asked() -> None:
    assert "cast" not in [one.name for one in explained(PlantedLinear(forwards, forwards)).causes]


def test_a_difference_that_float32_has_too_is_not_the_casts() -> None:
    class ByRows(PlantedLinear):
        def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
            (outputs,) = super().widened(layer, inputs, kind)
            return (outputs + outputs.dtype.type(1e-3 * (len(outputs) > 1)),)

    explanation = explained(ByRows(forwards, in_bf16, BF16))
    assert finding(explanation, "cast").verdict == "refuted"

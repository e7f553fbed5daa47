"""Equal sums, other codes: two orders of the float epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Accumulators
from isobatch.pipeline.explain.causes import requantization
from isobatch.pipeline.explain.causes.requantization import probe
from tests.pipeline.explain.causes.kernels import by_size, examined, fbgemm, integers, last_bit, onednn


def test_two_orders_of_the_epilogue_are_named_on_ties() -> None:
    subject = integers(by_size, found_by="provoked", rows=6)
    assert not subject.differing.any()  # natural rows do not show it
    finding = probe(subject)
    assert finding.verdict == "supported", finding.evidence
    assert finding.evidence.startswith("On rows placed on rounding ties")
    assert "N = 1: all its codes are (acc + bias/(s_x*s_w)) * (s_x*s_w/s_y), half-even" in finding.evidence
    assert "N = 6: all its codes are " in finding.evidence
    assert "Half a step away from every tie 0 of 24 elements differ." in finding.evidence


def test_equal_kernels_show_nothing() -> None:
    for kernel in (fbgemm, onednn):
        assert probe(integers(kernel, rows=6)).verdict == "inconclusive"


def test_codes_two_steps_apart_are_no_rounding() -> None:
    def two_off(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
        return fbgemm(sums, numbers, n) + 2 * (n > 1)

    assert probe(integers(two_off, rows=6)).verdict == "refuted"


def test_a_step_away_from_ties_is_refuted_with_the_distance() -> None:
    def one_off(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
        return fbgemm(sums, numbers, n) - (n > 1)

    finding = probe(integers(one_off, rows=40))
    assert finding.verdict == "refuted"
    assert "of a rounding tie" in finding.evidence


def test_ties_without_a_formula_stay_inconclusive() -> None:
    def odd_only(sums: NDArray[np.int64], numbers: Accumulators, n: int) -> NDArray[Any]:
        codes = fbgemm(sums, numbers, n)
        other = onednn(sums, numbers, n)
        flipped = np.where((codes == other) & (n > 1), codes + np.where(np.arange(4) % 2, 1, -1), codes)
        return np.clip(flipped, numbers.low, numbers.high)

    finding = probe(integers(odd_only, found_by="provoked", rows=6))
    assert finding.verdict != "supported"


def test_it_needs_an_integer_layer() -> None:
    assert requantization.applies_to(integers(fbgemm, rows=6))
    assert not requantization.applies_to(examined(last_bit))

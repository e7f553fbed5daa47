"""Sums of two products that leave 16 bits."""

from __future__ import annotations

from isobatch.pipeline.explain.causes import saturation
from tests.pipeline.explain.causes.kernels import by_size, examined, fbgemm, integers, last_bit


def test_clipping_in_batches_only_is_found() -> None:
    finding = saturation.probe(integers(fbgemm, clips=2, rows=8))
    assert finding.verdict == "supported"
    assert "Of 32 results" in finding.evidence and "0 at N = 1, 32 at N = 8" in finding.evidence
    assert "the two calls differ in 0" in finding.evidence


def test_clipping_in_both_calls_does_not_part_them() -> None:
    finding = saturation.probe(integers(fbgemm, clips=1, rows=8))
    assert finding.verdict == "refuted"
    assert "clipped in both calls, to the same bytes" in finding.evidence


def test_another_epilogue_is_no_saturation() -> None:
    finding = saturation.probe(integers(by_size, rows=8))
    assert finding.verdict == "refuted"
    assert "0 at N = 1, 0 at N = 8" in finding.evidence


def test_it_needs_an_integer_layer() -> None:
    assert saturation.applies_to(integers(fbgemm, rows=8))
    assert not saturation.applies_to(examined(last_bit))

"""Rows that belong to another image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.explain.causes import wrong_row
from tests.pipeline.explain.causes.kernels import examined, last_bit, mean_leak, swapped


def test_swapped_rows_are_named_with_their_owners() -> None:
    finding = wrong_row.probe(examined(swapped))
    assert finding.verdict == "supported"
    assert "2 of the 2 rows" in finding.evidence
    assert "row 0 is image 1's and row 1 is image 0's" in finding.evidence


def test_other_differences_are_no_wrong_rows() -> None:
    for kernel in (last_bit, mean_leak):
        assert wrong_row.probe(examined(kernel)).verdict == "refuted"


def test_a_swap_beside_another_fault_does_not_explain_all() -> None:
    def both(rows: NDArray[Any]) -> NDArray[Any]:
        out = swapped(rows)
        if len(rows) > 2:
            out[2] = np.nextafter(out[2], np.float32(np.inf))
        return out

    finding = wrong_row.probe(examined(both))
    assert finding.verdict == "inconclusive"
    assert finding.evidence.startswith("2 of the 3 rows")


def test_it_needs_rows_that_differ() -> None:
    assert wrong_row.CAUSE.applies_to(examined(swapped))
    assert not wrong_row.CAUSE.applies_to(examined(lambda rows: rows.copy()))


def test_one_row_given_to_all_images_is_no_exchange() -> None:
    """The largest of a batch is a row of one of its images, and yet nobody's place was changed."""
    finding = wrong_row.probe(examined(lambda rows: np.repeat(rows.max(axis=0, keepdims=True), len(rows), axis=0)))
    assert finding.verdict == "refuted"
    first = wrong_row.probe(examined(lambda rows: np.repeat(rows[:1], len(rows), axis=0)))
    assert first.verdict == "refuted" and "several images get one row" in first.evidence

"""A scale that comes with the batch, told from every other dependence on neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.explain.causes import dynamic_scale
from tests.pipeline.explain.causes.kernels import batch_scale, examined, last_bit, mean_leak


def asymmetric(rows: NDArray[Any]) -> NDArray[Any]:
    """uint8 with a zero point, as DynamicQuantizeLinear makes it."""
    low, high = min(float(rows.min()), 0.0), max(float(rows.max()), 0.0)
    scale = np.float32((high - low) / 255)
    zero = np.rint(-low / scale)
    return np.asarray((np.clip(np.rint(rows / scale) + zero, 0, 255) - zero) * scale, np.float32)


def test_a_scale_of_the_whole_batch_is_found_frozen_and_moved() -> None:
    for kernel in (batch_scale, asymmetric):
        finding = dynamic_scale.probe(examined(kernel))
        assert finding.verdict == "supported", finding.evidence
        assert "other neighbours within the range 0." in finding.evidence
        assert "The worst of" in finding.evidence


def test_a_leak_of_the_mean_is_none() -> None:
    finding = dynamic_scale.probe(examined(mean_leak))
    assert finding.verdict == "refuted"


def test_where_no_neighbour_matters_the_range_cannot() -> None:
    finding = dynamic_scale.probe(examined(last_bit))
    assert finding.verdict == "refuted"
    assert "changed no bit" in finding.evidence


def test_a_scale_beside_rounding_is_not_called_the_whole_cause() -> None:
    def both(rows: NDArray[Any]) -> NDArray[Any]:
        out = batch_scale(rows)
        out[:, 0] += np.float32(0.5) * (len(rows) < 3)
        return out

    assert dynamic_scale.probe(examined(both)).verdict == "inconclusive"


def test_it_needs_floats_of_which_a_range_can_be_taken() -> None:
    assert dynamic_scale.applies_to(examined(batch_scale))
    assert not dynamic_scale.applies_to(examined(lambda rows: rows.copy()))
    integers = examined(batch_scale)
    codes = (np.arange(60) % 7).reshape(5, 12).astype(np.uint8)
    assert not dynamic_scale.applies_to(replace(integers, inputs=(codes,)))

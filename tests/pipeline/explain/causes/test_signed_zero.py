"""Zeros of another sign: bytes that differ where no value does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.explain.causes import explain_origin, signed_zero
from tests.pipeline.explain.causes.kernels import examined, last_bit


def zeroed(rows: NDArray[Any]) -> NDArray[Any]:
    return np.where(rows > 0, rows, np.float32(-0.0 if len(rows) > 1 else 0.0))


def test_it_is_named_as_such() -> None:
    finding = signed_zero.probe(examined(zeroed))
    assert finding.verdict == "supported"
    assert "are 0.0 in one call and -0.0 in the other" in finding.evidence
    assert explain_origin(examined(zeroed)).mechanism == "signed-zero"


def test_values_that_differ_beside_zeros_refute_it() -> None:
    def both(rows: NDArray[Any]) -> NDArray[Any]:
        return np.where(rows > 1, last_bit(rows), zeroed(rows))

    assert signed_zero.probe(examined(last_bit)).verdict == "refuted"
    assert signed_zero.probe(examined(both)).verdict == "refuted"


def test_integers_have_one_zero() -> None:
    assert not signed_zero.CAUSE.applies_to(examined(lambda rows: np.int8([[len(rows)]] * len(rows))))

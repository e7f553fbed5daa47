"""Layers that draw or remember: no matter of the batch, and never called a leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.explain.causes import explain_origin, neighbour_leak, not_repeatable
from tests.pipeline.explain.causes.kernels import Kernel, examined, last_bit, mean_leak


def drawing() -> Kernel:
    draws = np.random.default_rng(0)
    return lambda rows: rows + draws.standard_normal(rows.shape, np.float32)


def counting() -> Kernel:
    calls = [0]

    def counted(rows: NDArray[Any]) -> NDArray[Any]:
        calls[0] += 1
        return rows + np.float32(calls[0])

    return counted


def remembering() -> Kernel:
    kept = [np.float32(0)]

    def remembered(rows: NDArray[Any]) -> NDArray[Any]:
        before, kept[0] = kept[0], rows[0, 0].copy()
        return rows + before * (len(rows) > 1)

    return remembered


@pytest.mark.parametrize("make", [drawing, counting, remembering])
def test_state_and_randomness_have_a_name_of_their_own(make: Any) -> None:
    assert not_repeatable.probe(examined(make())).verdict == "supported"
    assert neighbour_leak.probe(examined(make())).verdict == "inconclusive"
    assert explain_origin(examined(make())).mechanism == "not-repeatable"


@pytest.mark.parametrize("kernel", [last_bit, mean_leak])
def test_a_layer_that_depends_on_the_batch_alone_is_repeatable(kernel: Kernel) -> None:
    finding = not_repeatable.probe(examined(kernel))
    assert finding.verdict == "refuted"
    assert "gave the same bytes" in finding.evidence


def test_a_leak_says_that_it_was_made_twice() -> None:
    assert neighbour_leak.probe(examined(mean_leak)).evidence.startswith("The same call, made twice, gave the same")

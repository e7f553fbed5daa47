"""The control that tells a network that mixes images from a scale taken over the batch, on networks of numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.decide.demands import held_back
from isobatch.pipeline.decide.mixing import control, decide, without_repairs
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.records.study import Origin, Policy
from tests.fakes import CONDITION
from tests.pipeline.results import repair, result

Rows = NDArray[np.float32]
DRAWS = np.random.default_rng(3)
WEIGHTS = DRAWS.standard_normal((3 * 8 * 8, 10)).astype(np.float32)
IMAGES = DRAWS.standard_normal((4, 3, 8, 8)).astype(np.float32)


def rows(images: Rows) -> Rows:
    """Row by row, so that no N has arithmetic of its own."""
    return np.stack([image.reshape(-1) @ WEIGHTS for image in images])


def batch_mean(images: Rows) -> Rows:
    return rows(images / np.mean(images**2))


def forward_in_time(images: Rows) -> Rows:
    state, states = np.zeros(10, dtype=np.float32), []
    for row in rows(images):
        state = np.tanh(row / 100) + state / 2
        states.append(state)
    return np.stack(states)


def one_scale(images: Rows) -> Rows:
    scale = np.abs(images).max() / 127
    return rows(np.round(images / scale).astype(np.float32) * scale)


@dataclass
class Network:
    """A runner of what the control asks: ``run`` alone."""

    function: Callable[[Rows], Rows]

    def run(self, images: Rows) -> Rows:
        return self.function(images)


@pytest.mark.parametrize(
    ("function", "mixes"),
    [(rows, False), (batch_mean, True), (forward_in_time, True)],
)
@pytest.mark.parametrize("count", [1, 4])
def test_who_mixes_is_told_from_rows_alone(function: Callable[[Rows], Rows], mixes: bool | None, count: int) -> None:
    network: Any = Network(function)
    mixing = decide("fp32", control(network, IMAGES[:count]), None)
    assert mixing.mixes is mixes, mixing.evidence
    assert (mixing.change > 0) == (mixes is not False)


def test_a_scale_of_the_batch_is_not_taken_for_it() -> None:
    louder = IMAGES * np.array([1, 2, 3, 4], dtype=np.float32).reshape(4, 1, 1, 1)
    network: Any = Network(one_scale)
    measured = control(network, louder)
    assert measured.moved > 0 == measured.moved_held  # two outliers in every batch hold the scale
    assert decide("fp32", measured, None).mixes is None  # nobody looked inside
    scale = result("fp32", "batch-variant", origins=[origin("dynamic-scale")])
    assert decide("fp32", measured, scale).mixes is False
    leak = result("fp32", "batch-variant", origins=[origin("neighbour-leak")])
    assert decide("fp32", measured, leak).mixes is True


def origin(mechanism: str) -> Origin:
    return Origin(
        layer="one",
        kind="quantize",
        signature="one",
        condition=CONDITION,
        batch_sizes=[2],
        elements_differing=1,
        elements_tried=2,
        share=0.5,
        max_abs=0.1,
        max_ulp=None,
        found_by="captured",
        classes=[[1], [2]],
        mechanism=mechanism,
    )


def test_what_is_not_repeatable_is_not_accused() -> None:
    draws = np.random.default_rng(1)
    network: Any = Network(lambda images: draws.standard_normal((len(images), 10)).astype(np.float32))
    mixing = decide("fp32", control(network, IMAGES), None)
    assert mixing.mixes is None and "twice gave other bytes" in mixing.evidence


def test_a_network_that_mixes_is_neither_recommended_nor_repaired() -> None:
    network: Any = Network(batch_mean)
    mixing = decide("fp32", control(network, IMAGES), None)
    variants = without_repairs([result("fp32", "batch-variant", repairs=[repair()]), result("int8")], mixing)
    assert [variant.repairs for variant in variants] == [None, None]
    advice = held_back(recommend(variants, Policy()), variants, None, mixing)
    assert (advice.chosen, advice.withheld, advice.pareto) == (None, "the network itself mixes images", [])
    assert [(rejection.variant, rejection.why) for rejection in advice.rejected] == [
        ("fp32", "the network itself mixes images"),
        ("int8", "the network itself mixes images"),
    ]

"""Float formulas of an epilogue against exact rational arithmetic and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from isobatch.models.spec.interventions import Accumulators
from isobatch.pipeline.explain.causes._epilogues import Terms, formulas, reproducing, tie_distance


@pytest.mark.parametrize("count", [1, 2])
def test_every_formula_gives_the_nearest_code_away_from_ties(count: int) -> None:
    draws = np.random.default_rng(1)
    numbers = Accumulators(
        exact=tuple(draws.integers(-4000, 4000, (50, 4)) for _ in range(count)),
        input_scales=(0.02, 0.03)[:count],
        input_zero_points=(5, 9)[:count],
        weight_scales=np.float32([0.01, 0.02, 0.015, 0.03]).astype(np.float64) if count == 1 else np.ones(1) * 0.01,
        bias=np.float32([0.1, -0.2, 0.3, 0.0]).astype(np.float64) if count == 1 else np.zeros(1),
        output_scale=0.05,
        zero_point=7,
        low=0,
        high=255,
    )
    if count == 2:
        numbers = Accumulators(**{**vars(numbers), "weight_scales": np.ones(1)})
    terms = Terms.of(numbers, np.ones((50, 4), bool))
    clear = tie_distance(terms.steps) > 0.01  # no formula's roundings reach that far, but that of the bias to a whole
    nearest = np.clip(np.floor(terms.steps + 0.5), 0, 255)
    for formula in formulas(count):
        if "round(bias" not in formula.text:
            assert (formula.codes(terms)[clear] == nearest[clear]).all(), str(formula)


def test_a_search_returns_the_formula_that_made_the_codes() -> None:
    draws = np.random.default_rng(2)
    numbers = Accumulators(
        exact=(draws.integers(-(2**20), 2**20, (2000, 4)),),
        input_scales=(0.0212,),
        input_zero_points=(0,),
        weight_scales=np.float32([0.0031, 0.0047, 0.0113, 0.0071]).astype(np.float64),
        bias=np.float32([0.4, -0.3, 2.7, 1.9]).astype(np.float64),
        output_scale=70.0,
        zero_point=120,
        low=0,
        high=255,
    )
    terms = Terms.of(numbers, np.ones((2000, 4), bool))
    for formula in formulas(1)[::11]:
        assert str(formula) in [str(one) for one in reproducing([(terms, formula.codes(terms))])]
    assert reproducing([(terms, formulas(1)[0].codes(terms) ^ 1)]) == []


def test_distance_to_a_tie() -> None:
    assert tie_distance(np.array([0.5, 1.5, 2.0, -0.5, 3.25])).tolist() == [0.0, 0.0, 0.5, 0.0, 0.25]

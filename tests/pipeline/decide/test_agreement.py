"""Agreement with the reference: counts and bounds computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from isobatch.pipeline.decide.agreement import Answers, agreement, bound, count, decide, sentence
from tests.pipeline.results import agreed


def test_sixteen_of_sixteen_is_at_least_83_percent() -> None:
    measured = agreed(16, 16)
    assert (measured.share, measured.high95, measured.n, measured.n_answers) == (1.0, 1.0, 16, 16)
    assert measured.low95 == pytest.approx(0.05 ** (1 / 16), rel=1e-12)  # all of n: the n-th root of 5 %
    assert sentence(measured) == "agrees with fp64 on 16 of 16 images, at least 82 %"


@pytest.mark.parametrize(
    ("same", "n", "decision"),
    [
        (16, 16, "undecided"),  # 0.05 ** (1 / 16) = 0.829
        (28, 28, "undecided"),  # 0.8985
        (29, 29, "met"),  # 0.9019: the first n at which all suffice
        (14, 16, "missed"),  # 87.5 %: the estimate decides
        (9, 10, "undecided"),  # exactly at the limit is not below it
        (390, 400, "met"),
        (0, 16, "missed"),
    ],
)
def test_missed_by_the_estimate_met_by_the_bound(same: int, n: int, decision: str) -> None:
    assert decide(agreed(same, n), 90.0) == decision


def test_a_share_at_the_limit_is_not_below_it() -> None:
    for same, n, limit in ((9, 125, 7.2), (117, 125, 93.6), (999, 1000, 99.9)):
        assert decide(agreed(same, n), limit) == "undecided"
    assert decide(agreed(16, 16), 100.0) == "undecided" and decide(agreed(0, 16), 0.0) == "met"


def test_crops_of_one_photograph_are_one_cluster() -> None:
    same = [True] * 15 + [False]
    crops = agreement(same, [i % 4 for i in range(16)], "fp64")
    assert (crops.n, crops.n_answers) == (4, 16)
    assert crops.share == pytest.approx((1 + 1 + 1 + 3 / 4) / 4)
    assert crops.low95 < agreement(same, range(16), "fp64").low95
    whole = agreement([True] * 16, [i % 4 for i in range(16)], "fp64")
    assert whole.low95 == pytest.approx(0.05 ** (1 / 4))  # 47 %: four photographs, not sixteen images
    assert (count(whole), count(crops)) == ("4 of 4", "93.8 % of 4")


def test_few_that_agree_are_told_by_the_bound_from_above() -> None:
    none = agreed(0, 16)
    assert none.high95 == pytest.approx(1 - 0.05 ** (1 / 16))
    assert (bound(none), bound(agreed(400, 400))) == ("at most 18 %", "at least 99.2 %")


def test_a_copy_is_no_further_evidence_and_sources_are_named() -> None:
    answers = Answers("fp64")
    answers.add("3 images of a", [b"x", b"y", b"z"], np.array([1, 2, 3]), np.array([1, 2, 4]))
    answers.add("2 labelled images of a", [b"x", b"w"], np.array([1, 5]), np.array([0, 5]))
    measured = answers.record()
    assert measured is not None and (measured.n, measured.n_answers) == (4, 5)
    assert measured.share == pytest.approx((0.5 + 1 + 0 + 1) / 4)  # x agrees once of twice
    assert measured.counted == (
        "3 images of a and 2 labelled images of a, copies and crops of one picture count as one (n = 4)"
    )


def test_without_an_image_there_is_no_agreement() -> None:
    assert Answers("fp64").record() is None
    with pytest.raises(ValueError, match="give one of each"):
        agreement([], [], "fp64")

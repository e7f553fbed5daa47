"""The key figures of the first screen, and the sentence above them."""

from __future__ import annotations

import pytest

from isobatch.pipeline.records import study as r
from isobatch.reports import blocks
from isobatch.reports.sections._key_figures import key_figures, reason
from tests.reports import explained, studies
from tests.reports.sections.test_sections import words, written


def figures(study: r.Study) -> dict[str, tuple[str, str, str]]:
    return {one.label: (one.value, words(one.remark), one.target) for one in key_figures(study)}


def test_the_choice_in_four_numbers_each_with_its_evidence() -> None:
    found = figures(studies.full())
    assert found["Same answer in any batch?"] == (
        "= yes, byte for byte",
        "12 of 12 batched comparisons bit-equal; 20 images, N = 2 to 4, 8 and 16",
        "variant-ort-int8",
    )
    assert found["Speed"][0] == "106 img/s" and "about 2.8 x that of ort-fp32" in found["Speed"][1]
    assert found["Top-1 accuracy"][::2] == ("97.6 %", "accuracy")
    assert found["Top-1 accuracy"][1].startswith(
        "on 450 labelled images; accuracy drop against fp32 0.5 points, at most 1.3"
    )
    assert found["Price of stability"][:2] == ("none", "no variant that meets every other demand is shown to be faster")


def test_a_repaired_choice_rests_on_its_repair() -> None:
    study = studies.mended()
    value, remark, target = figures(study)["Same answer in any batch?"]
    assert (value, remark, target) == ("= yes, byte for byte", explained.SCOPE, "repairs")
    assert figures(study)["Top-1 accuracy"][:2] == (
        "not measured",
        "the surgical repair changes its singles, and the accuracy of these was not measured",
    )
    assert words(reason(study)).startswith("With 53 layers put in one fixed shape, an image gets the same output bytes")


def test_what_was_not_measured_is_said_in_its_place() -> None:
    bare = studies.measured(studies.ROWS[9]).model_copy(
        update={"cost": None, "accuracy": None, "accuracy_drop": None, "accuracy_note": "no labels", "verdict": None}
    )
    decided = r.Recommendation(policy=r.Policy(), chosen="ort-int8", because=[], rejected=[], ties=[], pareto=[])
    found = figures(studies.study([bare]).model_copy(update={"recommendation": decided}))
    assert found["Speed"][0] == found["Top-1 accuracy"][0] == "not measured"
    assert found["Top-1 accuracy"][1] == "no labels" and found["Price of stability"][0] == "not known"
    assert found["Same answer in any batch?"][0] == "not known"


@pytest.mark.parametrize("name", ["broken", "empty", "strange"])
def test_without_a_choice_there_are_no_figures(name: str) -> None:
    assert key_figures(studies.ALL[name]()) == () and reason(studies.ALL[name]()) == ()


def test_a_price_whose_limits_reach_none_is_not_shown() -> None:
    study = studies.full()
    assert study.recommendation is not None
    near = r.Against(variant="int8-x86", ratio=r.Interval(median=0.97, low95=0.9, high95=1.01, n=20), raced=True)
    decided = study.recommendation.model_copy(update={"price_of_stability": near})
    found = figures(study.model_copy(update={"recommendation": decided}))["Price of stability"]
    assert found[:2] == ("none shown", "against int8-x86, batch-variant")


def test_ties_are_counted_beside_the_policy() -> None:
    study = studies.full()
    assert study.recommendation is not None
    said = [
        words(
            reason(study.model_copy(update={"recommendation": study.recommendation.model_copy(update={"ties": ties})}))
        )
        for ties in ([], ["a tie"], ["a tie", "another"])
    ]
    assert said[0].endswith("most images a second.")
    assert (
        "most images a second. 1 other variant is not measurably slower" in said[1]
        and "2 other variants are not measurably slower" in said[2]
    )


def test_every_variant_stands_under_its_verdict() -> None:
    (standing,) = [b for b in written("answer", studies.full()) if isinstance(b, blocks.Definitions)][:1]
    stands = {term: words(prose) for term, prose in standing.items}
    assert stands["= batch-invariant"] == "int8-fbgemm, ort-int8 and ort-int8-qoperator"
    assert stands["– unavailable"] == "int8-pt2e" and "int8-x86+surgical" in stands["= after repair"]
    candidates = [v.name for v in studies.full().variants if v.role == "candidate"]
    told = [name for term, prose in standing.items if "repair" not in term for name in words(prose).split()]
    assert sorted(candidates) == sorted(name.strip(",") for name in told if name != "and")

"""The key figures of the first screen, and the sentence above them."""

import pytest

from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.records import study as r
from isobatch.reports import blocks
from isobatch.reports.sections._key_figures import key_figures, reason
from isobatch.reports.sections.answer import headline
from isobatch.reports.sections.race import in_short, price_line
from tests.pipeline.decide.test_ranges import verified
from tests.pipeline.results import race
from tests.reports import explained, studies
from tests.reports.sections.test_sections import words, written


def figures(study: r.Study) -> dict[str, tuple[str, str, str]]:
    return {figure.label: (figure.value, words(figure.remark), figure.target) for figure in key_figures(study)}


def test_the_choice_in_four_numbers_each_with_its_evidence() -> None:
    shown = figures(studies.full())
    assert shown["Same answer in any batch?"] == (
        "= yes, byte for byte",
        "12 of 12 batched comparisons bit-equal; 20 images, N = 2 to 4, 8 and 16",
        "variant-ort-int8",
    )
    assert shown["Speed"][0] == "106 img/s" and "about 2.83 x that of ort-fp32" in shown["Speed"][1]
    assert shown["Top-1 accuracy"][::2] == ("97.6 %", "accuracy")
    assert shown["Top-1 accuracy"][1].startswith(
        "on 450 labelled images; accuracy drop against fp32 0.5 points, at most 1.3"
    )
    assert shown["Price of stability"][:2] == ("none", "no variant that meets every other demand is shown to be faster")


def test_a_repaired_choice_rests_on_its_repair() -> None:
    study = studies.mended()
    value, remark, target = figures(study)["Same answer in any batch?"]
    assert (value, remark, target) == ("= yes, byte for byte", explained.SCOPE, "repairs")
    assert figures(study)["Top-1 accuracy"][:2] == (
        "not measured",
        "the surgical repair changes its singles, and the accuracy of these was not measured",
    )
    assert words(reason(study)).startswith("With 53 layers put in one fixed shape, an image gets the same output bytes")


def repaired(**changed: object) -> r.Study:
    """The study in which int8-x86 with another repair than the surgical one is recommended."""
    study = studies.mended()
    assert study.recommendation is not None
    native = next(v for v in study.variants if v.name == "int8-x86")
    assert native.repairs is not None
    other = native.repairs[0].model_copy(update={"layers": 0, **changed})
    variants = [v.model_copy(update={"repairs": [other]}) if v is native else v for v in study.variants]
    decided = study.recommendation.model_copy(update={"chosen": f"int8-x86+{other.name}"})
    return study.model_copy(update={"variants": variants, "recommendation": decided})


def test_a_repair_that_changes_no_layer_or_keeps_top1_only_is_told_as_such() -> None:
    assert words(reason(repaired(name="one-thread"))).startswith("With the repair one-thread, an image gets the same")
    kept = repaired(name="recheck", batch_invariant=False, top1_stable=True)
    assert "output bytes" not in words(reason(kept))
    assert figures(kept)["Same answer in any batch?"][0] == "≈ same answers, other bytes"


def test_the_speed_is_that_at_the_n_recommended() -> None:
    study = studies.full().model_copy(update={"race": None})
    decided = recommend(study.variants, r.Policy(max_latency_ms=20.0))
    changed = study.model_copy(update={"recommendation": decided})
    assert decided.chosen == "ort-int8-qoperator" and words(headline(changed)).endswith("1 image at a time")
    assert figures(changed)["Speed"][1].startswith("at N = 1,") and "at N = 1" in decided.because[-1]


def test_a_race_at_another_n_is_not_told_as_if_it_had_decided() -> None:
    study = studies.full()
    short = race(8, ort_int8=106, ort_int8_qoperator=105)
    decided = recommend(study.variants, r.Policy(objective="latency"), short)
    changed = study.model_copy(update={"race": short, "recommendation": decided})
    assert in_short(changed).endswith("; the race does not price this policy.")
    assert "too short" not in words(headline(changed))


def test_of_the_smallest_it_is_not_said_that_nothing_is_faster() -> None:
    study = studies.full()
    decided = recommend(study.variants, r.Policy(objective="size"), race(int8_fbgemm=50, ort_int8=106, ort_fp32=200))
    changed = study.model_copy(update={"recommendation": decided})
    assert decided.price_of_stability is None and decided.chosen == "ort-int8"
    told = "no variant that meets every other demand and is as small is shown to be faster"
    assert figures(changed)["Price of stability"][1] == told and told in words(price_line(changed))


def test_what_fails_inside_what_is_shipped_is_not_called_the_same_bytes() -> None:
    study = studies.full()
    failed = [v.model_copy(update={"range": verified(4, (5, "batch", 0))}) for v in study.variants]
    decided = recommend(failed, r.Policy(stability="top1-stable"))
    value, remark, _ = figures(study.model_copy(update={"variants": failed, "recommendation": decided}))[
        "Same answer in any batch?"
    ]
    assert value == "≈ same answers, other bytes" and "not beyond: a batch of images at N = 5" in remark


def test_what_was_not_measured_is_said_in_its_place() -> None:
    bare = studies.measured(studies.ROWS[9]).model_copy(
        update={"cost": None, "accuracy": None, "accuracy_drop": None, "accuracy_note": "no labels", "verdict": None}
    )
    decided = r.Recommendation(policy=r.Policy(), chosen="ort-int8", because=[], rejected=[], ties=[], pareto=[])
    shown = figures(studies.study([bare]).model_copy(update={"recommendation": decided}))
    assert shown["Speed"][0] == shown["Top-1 accuracy"][0] == "not measured"
    assert shown["Top-1 accuracy"][1] == "no labels" and shown["Price of stability"][0] == "not known"
    assert shown["Same answer in any batch?"][0] == "not known"


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

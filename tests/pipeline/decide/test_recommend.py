import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.decide.deployment import deployment, from_run
from isobatch.pipeline.decide.pareto import pareto_set
from isobatch.pipeline.decide.policy import obstacles
from isobatch.pipeline.decide.reasons import UNCOMPARED
from isobatch.pipeline.decide.recommend import default_policy, recommend
from isobatch.pipeline.records.study import Comparison, Policy, Recommendation, VariantResult, Verdict
from isobatch.reports.speeds import shows_loss
from tests.fakes import CONDITION
from tests.pipeline.decide.test_ranges import verified
from tests.pipeline.results import agreed, integer, race, repair, result

UNAVAILABLE = result("gone", None, status="unavailable", reason="no such engine", remedy="install it")


def reasons(advice: Recommendation) -> dict[str, str]:
    return {rejection.variant: rejection.why for rejection in advice.rejected}


def test_the_cheapest_that_meets_the_policy() -> None:
    fp64 = result("fp64", None, role="reference")
    variants = [fp64, result("slow", per_second=50), result("fast"), result("faster", "batch-variant", per_second=900)]
    advice = recommend([*variants, UNAVAILABLE], Policy())
    assert (advice.chosen, advice.batch_size, advice.ties) == ("fast", 8, [])
    assert advice.because == [
        "It is batch-invariant: on seed, what fast did.",
        UNCOMPARED,
        "Of 2 that meet the policy it has the most images a second: 100 (98 to 102) img/s at N = 8.",
    ]
    assert reasons(advice) == {
        "fp64": "the reference for numeric error, never a candidate",
        "slow": "meets the policy, but 50 (49 to 51) img/s at N = 8 against 100 (98 to 102) img/s at N = 8 of fast",
        "faster": "batch-variant, where the policy asks for batch-invariant (on seed, what faster did)",
        "gone": "unavailable: no such engine (install it)",
    }


def test_the_stability_of_the_choice_is_one_sentence_with_the_evidence_of_the_largest_set_first() -> None:
    both = integer("v", {"seed": "batch-invariant", "digits": "batch-invariant"}, repeatable=True)
    few, many = both.by_inputs
    some = both.model_copy(update={"by_inputs": [few.model_copy(update={"n_images": 4}), many]})
    assert recommend([some], Policy()).because[0] == (
        "It is batch-invariant: all bytes of 40 images of digits are those of their singles at N = 8, "
        "and those of 4 images of seed at N = 8 (2 comparisons)."
    )
    once = some.model_copy(update={"by_inputs": [many], "repeatable": None})
    assert recommend([once], Policy()).because[0].endswith("at N = 8 (1 comparison). No call was repeated.")


LEADER = "is the leader of the race, and the other is not clearly better in accuracy, error or size"
RIGHT = {"few": "0" * 200 + "1" * 200, "many": "1" * 400}  # of 400 images, 200 and all


def answering(name: str, right: str, **more: Any) -> VariantResult:
    variant = result(name, top1={"few": 0.5, "many": 1.0}[right], **more)
    assert variant.accuracy is not None
    return variant.model_copy(update={"accuracy": variant.accuracy.model_copy(update={"right": RIGHT[right]})})


def compared(variant: VariantResult, **error: float) -> VariantResult:
    """The variant with these errors against the reference, by input set."""
    made = [
        Comparison(
            inputs=inputs,
            condition=CONDITION,
            kind="vs-reference",
            batch_size=1,
            n_images=4,
            n_images_equal=0,
            bitwise_equal=False,
            relative_error_median=value,
        )
        for inputs, value in error.items()
    ]
    return variant.model_copy(update={"comparisons": made})


@pytest.mark.parametrize(
    ("first", "rival", "chosen", "by", "why"),
    [
        ("few", ("many", 100.0), "rival", "accuracy", "has the significantly higher accuracy (100.0 % against 50.0 %)"),
        ("many", ("many", 50.0), "rival", "size", "is the smaller artifact (50 MB against 100 MB)"),
        ("many", ("many", 98.0), "first", "speed", LEADER),
    ],
)
def test_a_tie_is_shown_and_then_broken(first: str, rival: tuple[str, float], chosen: str, by: str, why: str) -> None:
    variants = [answering("first", first), answering("rival", rival[0], size_mb=rival[1])]
    advice = recommend(variants, Policy(), race(first=101, rival=100))
    other = {"first": "rival", "rival": "first"}[chosen]
    assert (advice.chosen, advice.decided_by, advice.runner_up) == (chosen, by, other)
    assert advice.race is not None and advice.race.standings == {"first": "leader", "rival": "as-fast"}
    assert len(advice.ties) == 1 and advice.ties[0].endswith(f"is measurably slower; {chosen} {why}.")
    assert why in reasons(advice)[other]


def test_the_n_of_every_tie_is_recorded() -> None:
    raced = race(a=101, b=100)
    at_4 = raced.contestants[1].model_copy(
        update={"batch_size": 4, "call_s": [s / 2 for s in raced.contestants[1].call_s]}
    )
    b = result("b")
    assert b.cost is not None
    speeds = b.cost.throughput_img_s | {"4": b.cost.throughput_img_s["8"]}
    b = b.model_copy(update={"cost": b.cost.model_copy(update={"throughput_img_s": speeds})})
    advice = recommend(
        [result("a"), b], Policy(), raced.model_copy(update={"contestants": [raced.contestants[0], at_4]})
    )
    assert (advice.batch_size, advice.runner_up, advice.runner_up_batch_size) == (8, "b", 4)
    assert advice.ties[0].startswith("Neither a at N = 8, with 1.00") and " nor b at N = 4, with 1.0" in advice.ties[0]


def test_nothing_is_said_of_answers_that_are_themselves_the_reference() -> None:
    alone = recommend([result("ort-fp32", baseline=True), result("ort-int8", per_second=20)], Policy())
    assert alone.chosen == "ort-fp32" and UNCOMPARED not in alone.because
    beside = recommend([result("fp64", role="reference"), result("fp32", baseline=True)], Policy())
    assert beside.chosen == "fp32" and UNCOMPARED in beside.because


def test_the_race_decides_and_not_the_passes() -> None:
    variants = [result("a", per_second=140), result("b", per_second=100), result("c", per_second=30)]
    advice = recommend(variants, Policy(), race(a=100, b=130))
    assert (advice.chosen, advice.batch_size, advice.decided_by, advice.runner_up) == ("b", 8, "speed", "a")
    assert advice.because[2].startswith("Of 3 that meet the policy it has the most images a second: 130 (")
    assert advice.because[2].endswith("img/s at N = 8, in 40 rounds of the race.")
    assert (
        reasons(advice)["a"].startswith("meets the policy, but takes 1.3")
        and "times as long as b" in reasons(advice)["a"]
    )
    assert "was not raced" in reasons(advice)["c"]
    assert advice.race is not None and (advice.race.rounds, advice.race.disturbed) == (40, 1)
    assert advice.race.ratios["b"].median == 1 and advice.race.ratios["a"].median == pytest.approx(1.3, abs=0.01)
    assert advice.sureness is not None and advice.sureness.share == 1
    assert advice.at_work is not None and advice.at_work.call_ms.median.value == pytest.approx(8e3 / 130, rel=0.01)
    assert (advice.at_work.call_ms.n, advice.at_work.call_ms.p95.upper95) == (40, None)
    assert (advice.at_work.peak_memory_bytes, advice.at_work.load_s) == (300, 0.5)


def test_without_a_race_the_passes_decide_and_it_is_said() -> None:
    advice = recommend([result("a", per_second=100), result("b", per_second=101)], Policy())
    assert (advice.chosen, advice.decided_by, advice.sureness, advice.race, advice.ties) == (
        "b",
        "passes",
        None,
        None,
        [],
    )
    assert any(text.startswith("No race was run") for text in advice.warnings)


def test_an_undecided_race_names_who_may_be_as_fast_and_is_not_sure() -> None:
    advice = recommend([result("a"), result("b")], Policy(), race(20, spread=0.2, a=100, b=100))
    assert advice.race is not None and "undecided" in advice.race.standings.values()
    assert any(text.startswith("May be as fast") for text in advice.because)
    assert advice.sureness is not None and advice.sureness.share < 1 and advice.runner_up in ("a", "b")


def test_too_few_rounds_and_an_unsteady_machine_are_said() -> None:
    short = race(9, a=100, b=50).model_copy(update={"unsteady": True, "disturbed": 7})
    advice = recommend([result("a"), result("b")], Policy(), short)
    said = " ".join(advice.warnings)
    assert advice.sureness is None and "9 rounds only" in said and "took time from 7 rounds" in said


def test_who_dropped_out_of_the_race_is_no_candidate() -> None:
    raced = race(a=100, b=200)
    gone = raced.contestants[1].model_copy(update={"dropped": "its worker was ended by SIGSEGV", "call_s": []})
    advice = recommend(
        [result("a"), result("b")], Policy(), raced.model_copy(update={"contestants": [raced.contestants[0], gone]})
    )
    assert (
        advice.chosen == "a" and reasons(advice)["b"] == "it dropped out of the race: its worker was ended by SIGSEGV"
    )
    assert advice.decided_by == "only-candidate"


@pytest.mark.parametrize(
    ("limit", "chosen", "why"),
    [
        (90.0, "a", ""),
        (79.0, None, "takes 79.9"),  # a call of 8 images takes 80 ms
        (79.95, None, "undecided: at most 8"),
    ],
)
def test_latency_is_met_by_the_upper_limit_of_the_median_at_the_n_recommended(
    limit: float, chosen: str | None, why: str
) -> None:
    advice = recommend([result("a", per_second=110)], Policy(max_latency_ms=limit), race(40, a=100))
    assert advice.chosen == chosen
    assert why in reasons(advice).get("a", "")


def test_three_calls_decide_no_median_and_five_would() -> None:
    advice = recommend([result("a", per_second=110)], Policy(max_latency_ms=90), race(3, a=100))
    assert advice.chosen is None and "median call at N = 8 undecided: 3 calls, and 5 are needed" in reasons(advice)["a"]


@pytest.mark.parametrize(
    ("demanded", "chosen", "why"),
    [
        (99.0, "a", ""),  # 90 in the passes, 100 in the race
        (100.2, None, "throughput: undecided, 100 img/s at N = 8 in the race, at least "),
        (105.0, None, "throughput: 100 img/s at N = 8 in the race, and 105 img/s are demanded"),
    ],
)
def test_the_throughput_demanded_is_met_by_the_calls_of_the_race(demanded: float, chosen: str | None, why: str) -> None:
    advice = recommend([result("a", per_second=90)], Policy(min_throughput_img_s=demanded), race(40, a=100.1))
    assert advice.chosen == chosen and reasons(advice).get("a", "").startswith(why)


def test_a_throughput_at_an_n_that_the_limit_on_latency_closes_meets_no_demand() -> None:
    advice = recommend([result("a")], Policy(min_throughput_img_s=80, max_latency_ms=50))
    assert advice.chosen is None
    assert reasons(advice)["a"] == "throughput: 50 img/s at N = 1, below the 80 img/s demanded"


def test_a_race_at_an_n_that_a_new_limit_closes_rejects_nobody() -> None:
    """A call of 8 images takes 80 ms, which is beyond the new limit; a call of one keeps it."""
    variants = [result("a", latency_ms=20.0), result("b", per_second=90, latency_ms=22.0)]
    raced = race(a=100, b=90)
    advice = recommend(variants, Policy(max_latency_ms=50), raced)
    assert (advice.chosen, advice.batch_size, advice.decided_by) == ("a", 1, "passes")
    assert advice.because[-1].endswith("50 (49 to 51) img/s at N = 1.")
    assert any("does not price this policy" in text for text in advice.warnings)
    assert any(text.startswith("--max-latency-ms was judged by these times too") for text in advice.warnings)
    assert recommend(variants, Policy(), raced).decided_by == "speed"
    raised = race(a=50, b=45)
    at_one = [contestant.model_copy(update={"batch_size": 1}) for contestant in raised.contestants]
    narrow = raised.model_copy(update={"contestants": at_one})
    assert recommend(variants, Policy(), narrow).batch_size == 8  # and a lifted one is priced anew, too


def test_p99_is_met_by_three_hundred_calls_and_by_no_fewer() -> None:
    raced = race(40, a=100)
    policy = Policy(max_latency_p99_ms=100)
    few = recommend([result("a")], policy, raced)
    assert few.chosen is None and "p99 of a call at N = 8 undecided: 40 calls, and 299 are needed" in reasons(few)["a"]
    many = raced.contestants[0].model_copy(update={"more_s": [0.08] * 299 + [0.09]})
    timed = raced.model_copy(update={"contestants": [many]})
    assert recommend([result("a")], policy, timed).chosen == "a"
    assert recommend([result("a")], Policy(max_latency_p99_ms=85), timed).chosen is None
    assert "no call of a race" in reasons(recommend([result("a")], policy))["a"]


def test_the_price_of_stability_and_the_speed_up_come_from_the_race() -> None:
    variants = [
        result("wild", "batch-variant", precision="int8"),
        result("steady", precision="int8"),
        result("float", precision="fp32"),
    ]
    advice = recommend(variants, Policy(), race(wild=200, steady=150, float=75))
    assert advice.chosen == "steady"
    paid, gained = advice.price_of_stability, advice.speed_up
    assert paid is not None and (paid.variant, paid.raced) == ("wild", True)
    assert paid.ratio.median == pytest.approx(0.75, abs=0.01) and paid.ratio.n == 40
    assert gained is not None and (gained.variant, gained.raced) == ("float", True)
    assert gained.ratio.median == pytest.approx(2.0, abs=0.02)
    free = recommend(variants[1:], Policy(), race(steady=150, float=75))
    assert free.price_of_stability is None


def test_a_price_holds_for_another_race_too() -> None:
    """Rounds alone tell 2 % apart; two races of the same two differ by as much."""
    variants = [result("wild", "batch-variant"), result("steady")]
    near = recommend(variants, Policy(), race(wild=153, steady=150)).price_of_stability
    assert near is not None and near.ratio.high95 is not None and near.ratio.high95 > 1 > near.ratio.median
    raced = race(wild=200, steady=150)
    waits = [c.model_copy(update={"waited_s": [0.6 * call for call in c.call_s]}) for c in raced.contestants]
    busy = raced.model_copy(update={"unsteady": True, "contestants": waits})
    wide = recommend(variants, Policy(), busy).price_of_stability
    assert wide is not None and wide.ratio.high95 is not None and wide.ratio.high95 > 1
    few = recommend(variants, Policy(), race(9, wild=200, steady=150)).price_of_stability
    assert few is not None and few.ratio.high95 is None and not shows_loss(few)


def test_where_size_is_asked_for_the_price_is_told_against_what_is_as_small() -> None:
    wild = result("wild", "batch-variant", size_mb=25.0)
    variants = [result("steady", size_mb=25.0), result("large", per_second=300), wild]
    asked = Policy(objective="size")
    paid = recommend(variants, asked, race(steady=100, large=300, wild=150)).price_of_stability
    assert paid is not None and paid.variant == "wild"
    assert recommend(variants[:2], asked, race(steady=100, large=300)).price_of_stability is None


def test_the_speed_up_is_rough_where_the_reference_was_not_raced() -> None:
    variants = [result("steady", precision="int8", per_second=200), result("float", per_second=50)]
    advice = recommend(variants, Policy(), race(steady=210))
    assert advice.speed_up is not None and advice.speed_up.raced is False
    assert advice.speed_up.ratio.median == pytest.approx(4.0)
    pair = race(steady=210, float=70).contestants
    duel = race(steady=210).model_copy(update={"against_reference": pair})
    raced = recommend(variants, Policy(), duel).speed_up
    assert raced is not None and raced.raced and raced.ratio.median == pytest.approx(3.0, abs=0.03)
    alone = recommend(variants, Policy(objective="latency"), duel).speed_up
    assert alone is None or not alone.raced  # its calls were at N = 8


def test_no_speed_up_is_told_from_calls_that_leave_open_which_is_faster() -> None:
    variants = [result("steady", precision="int8", per_second=200), result("float", per_second=50)]
    steady, slow = race(steady=210, float=70).contestants
    pair = [steady.model_copy(update={"call_s": [0.01, 0.01]}), slow.model_copy(update={"call_s": [0.089, 0.777]})]
    duel = race(steady=210).model_copy(update={"against_reference": pair})
    assert recommend(variants, Policy(), duel).speed_up is None


@pytest.mark.parametrize(("per_second", "warned"), [(150, True), (20, False)])
def test_who_was_no_candidate_when_the_race_was_run_is_named_where_it_may_win(per_second: int, warned: bool) -> None:
    wild = result("wild", "top1-stable", per_second=per_second)
    variants = [result("steady", per_second=200), result("slow", per_second=190), wild]
    advice = recommend(variants, Policy(stability="top1-stable"), race(steady=200, slow=190))
    assert advice.chosen == "steady" and "no candidate when the race was run, and took" in reasons(advice)["wild"]
    assert any("and so not raced: wild." in text for text in advice.warnings) is warned


def test_of_the_repairs_of_one_variant_that_one_is_named_which_was_raced_instead() -> None:
    repairs = [repair("surgical"), repair("pin-shape", ratio=0.9)]
    variants = [result("steady", per_second=200), result("wild", "batch-variant", per_second=190, repairs=repairs)]
    advice = recommend(variants, Policy(), race(**{"steady": 200, "wild+surgical": 190}))
    assert reasons(advice)["wild+pin-shape"] == (
        "meets the policy, but was not raced: of the repairs of one variant the cheapest enters, here wild+surgical"
    )
    assert not any("not raced" in text for text in advice.warnings)


def test_a_race_of_one_decides_nothing() -> None:
    variants = [result("steady", per_second=200), result("slow", per_second=20)]
    advice = recommend(variants, Policy(), race(steady=210))
    assert (advice.chosen, advice.decided_by, advice.sureness) == ("steady", "passes", None)
    assert not any("race" in warning for warning in advice.warnings)
    alone = recommend(variants[:1], Policy(), race(steady=210))
    assert (alone.chosen, alone.decided_by, alone.sureness) == ("steady", "only-candidate", None)


def test_no_speed_up_is_told_from_calls_that_other_programs_took_time_from() -> None:
    variants = [result("steady", precision="int8", per_second=200), result("float", per_second=50)]
    busy = race(steady=210, float=2).model_copy(update={"unsteady": True})
    assert recommend(variants, Policy(), busy).speed_up is None
    duel = {"against_reference": race(steady=210, float=2).contestants, "reference_unsteady": True}
    assert recommend(variants, Policy(), race(steady=210).model_copy(update=duel)).speed_up is None


def test_a_race_at_other_n_does_not_price_latency() -> None:
    variants = [result("a", latency_ms=5.0), result("b", latency_ms=4.0)]
    advice = recommend(variants, Policy(objective="latency"), race(a=200, b=100))
    assert (advice.chosen, advice.batch_size, advice.decided_by) == ("b", 1, "passes")
    assert any("does not price this policy" in text for text in advice.warnings)


def test_the_objective_decides() -> None:
    variants = [
        result("quick", latency_ms=2.0),
        result("small", size_mb=10.0),
        result("busy", per_second=500.0),
    ]
    chosen = {
        objective: recommend(variants, Policy(objective=objective))
        for objective in get_args(Policy.model_fields["objective"].annotation)
    }
    assert {name: advice.chosen for name, advice in chosen.items()} == {
        "throughput": "busy",
        "latency": "quick",
        "size": "small",
    }
    assert [advice.batch_size for advice in chosen.values()] == [8, 1, 8]


def test_of_the_smallest_the_fastest_is_chosen_and_the_others_are_larger() -> None:
    large = result("large", per_second=300)
    variants = [large, result("small", size_mb=25.0), result("as-small", size_mb=26.0, per_second=90)]
    raced = race(small=100, as_small=90)
    advice = recommend(variants, Policy(objective="size"), raced)
    assert (advice.chosen, advice.decided_by) == ("small", "speed")
    assert reasons(advice)["large"] == "meets the policy, but is larger: 100 MB against 25 MB of small"
    assert not any("not raced" in text for text in advice.warnings)
    timed = recommend(variants, Policy(objective="size"))
    assert reasons(timed)["as-small"].startswith("meets the policy, but 90 (88.2 to 91.8) img/s at N = 8 against 100")
    alone = recommend([large, variants[1]], Policy(objective="size"), race(large=300, small=100))
    assert (alone.chosen, alone.decided_by, alone.runner_up) == ("small", "size", None)
    assert "is larger" in reasons(alone)["large"]


def test_what_is_the_reference_itself_has_no_error_and_what_is_not_says_how_often_it_agrees() -> None:
    alone = result("ort-fp32", baseline=True, agreement=agreed(16, 16, "ort-fp32"))
    rough = compared(result("ort-int8", size_mb=25.0), seed=0.01)
    advice = recommend([alone, rough], Policy(), race(ort_fp32=100, ort_int8=101))
    assert (advice.chosen, advice.decided_by) == ("ort-fp32", "error")
    assert advice.because[-1] == "It gives the reference's own outputs, from which the other has an error of 0.01."
    alone = compared(result("fp32", baseline=True, agreement=agreed(16, 16)), seed=1e-7)  # fp64 was not asked for
    assert "It agrees with fp64 on 16 of 16 images, at least 82 %." in recommend([alone], Policy()).because


def test_errors_are_compared_on_the_sets_that_all_have_seen() -> None:
    both, one = compared(result("both"), seed=0.01, photos=0.05), compared(result("one"), seed=0.012)
    advice = recommend([both, one], Policy(), race(both=101, one=100))
    assert (advice.chosen, advice.decided_by) == ("both", "speed")


def test_what_is_said_of_a_third_one_is_true_of_it() -> None:
    """Two are more accurate than the leader; of them the smaller one goes first, and by no accuracy."""
    variants = [
        answering("first", "few"),
        answering("second", "many", size_mb=90.0),
        answering("third", "many", size_mb=50.0),
    ]
    advice = recommend(variants, Policy(), race(first=102, second=101.5, third=101))
    assert (advice.chosen, advice.decided_by) == ("third", "accuracy")
    said = reasons(advice)
    assert said["first"].endswith(
        "third is not measurably slower and has the significantly higher accuracy (100.0 % against 50.0 %)"
    )
    assert said["second"].endswith("third is the smaller artifact (50 MB against 90 MB)")


def test_no_single_demand_is_said_to_help_where_agreement_alone_is_amiss() -> None:
    advice = recommend([result("a", agreement=agreed(3, 16))], Policy())
    assert advice.because[1] == "With --min-agreement 0, a would meet it."


def test_where_none_of_those_raced_is_a_candidate_it_is_said() -> None:
    small = [result("small", size_mb=25.0, per_second=20), result("as-small", size_mb=25.0, per_second=19)]
    advice = recommend([result("large"), *small], Policy(max_size_mb=30), race(large=100))
    assert advice.chosen == "small" and advice.race is not None and advice.race.standings == {}
    assert any(text.startswith("No candidate under this policy was in the race") for text in advice.warnings)


def test_who_was_not_verified_where_another_was_is_said() -> None:
    first = result("first", range=verified())
    steady = [first, result("second", per_second=50)]
    assert not any("not verified" in text for text in recommend(steady, Policy()).warnings)
    advice = recommend([first.model_copy(update={"verdict": "batch-variant"}), steady[1]], Policy())
    assert advice.chosen == "second"
    assert any(text.startswith("second was not verified at every N, as first was") for text in advice.warnings)


def test_the_drop_of_the_choice_is_stated_with_its_bound() -> None:
    advice = recommend([result("v", top1=0.9, discordant=(2, 1, 400))], Policy(max_accuracy_drop=2.0))
    assert advice.because[1] == (
        "Its accuracy drop is 0.25 points on 400 images, at most 1.79 points with 95 % confidence, "
        "within the limit of 2 points."
    )
    assert advice.because[2].startswith("It is the only variant that meets the policy: 100")
    assert advice.warnings == []  # nothing was to be raced


def test_no_candidate_says_what_would_have_to_change() -> None:
    advice = recommend([result("a", "top1-stable"), result("b", "batch-variant"), UNAVAILABLE], Policy())
    assert (advice.chosen, advice.batch_size) == (None, None)
    assert advice.because == [
        "No variant meets the policy: batch-invariant, the reference's answer on at least 90 % of the images, most "
        "images a second.",
        "With --policy top1-stable, a would meet it.",
        "With --policy none, a and b would meet it.",
    ]
    assert list(reasons(advice)) == ["a", "b", "gone"]


def test_where_no_single_change_helps_it_says_so() -> None:
    advice = recommend([result("a", "batch-variant")], Policy(max_latency_ms=1.0))
    assert advice.because[1].startswith("No single demand given up would leave a candidate. Of every variant: ")
    assert advice.because[1].endswith(advice.rejected[0].why)
    beside = [result("fp64", None, role="reference"), result("a", "batch-variant")]
    assert recommend(beside, Policy(max_latency_ms=1.0)).because == advice.because
    several = recommend([result("a", "batch-variant"), result("b", "invalid")], Policy(max_latency_ms=1.0))
    assert several.because[1].endswith("The reason of each variant says what is amiss.")
    assert recommend([UNAVAILABLE], Policy()).chosen is None


def test_warnings_name_what_the_choice_cannot_rest_on() -> None:
    once = "The cost of a was measured by a single call"
    advice = recommend([result("a", spread=None, top1=0.9)], Policy())
    assert [warning.split(":")[0] for warning in advice.warnings] == ["No limit on the accuracy drop is set", once]
    without_labels = recommend([result("a", spread=None)], Policy())  # a limit could not be held: nothing to be said
    assert [warning.split(":")[0] for warning in without_labels.warnings] == [once]


def test_a_network_that_does_not_repeat_itself_elsewhere_is_said_of_the_choice() -> None:
    advice = recommend([result("steady"), result("drawing", "not-repeatable")], Policy())
    assert advice.chosen == "steady"
    assert any(
        warning.startswith("The same call of drawing gave other bytes the second time.") for warning in advice.warnings
    )
    assert not any(
        "same call" in warning for warning in recommend([result("steady"), result("other")], Policy()).warnings
    )


def test_a_repair_that_holds_is_a_candidate_of_its_own() -> None:
    mended = result("fast", "batch-variant", per_second=200, top1=0.9, repairs=[repair(ratio=0.9)])
    advice = recommend([result("steady", per_second=100, top1=0.9), mended], Policy())
    assert (advice.chosen, advice.batch_size) == ("fast+surgical", 8)
    assert advice.because[0] == (
        "It is batch-invariant: all bytes of 40 images of seed at N = 8 are those of its own singles "
        "(1 batched comparison)."
    )
    assert advice.because[2].endswith("the most images a second: 180 (174 to 186) img/s at N = 8.")
    assert reasons(advice).keys() == {"steady", "fast"}
    assert {point.variant for point in advice.pareto} == {"fast", "fast+surgical"}
    assert advice.deploy == (
        "python run.py deploy RUN --variant fast+surgical --out deployed\npython run.py verify deployed\n"
    )
    named = from_run(advice, Path("some where")).deploy
    assert named.startswith("python run.py deploy 'some where' --variant fast+surgical")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"batch_invariant": False},
        {"batch_invariant": None},
        {"name": "switch"},
        {"throughput_ratio": {}},
        {"batch_invariant": False, "top1_stable": True},
    ],
)
def test_a_repair_that_does_not_hold_or_was_not_priced_is_none(spoilt: dict[str, Any]) -> None:
    mended = result("fast", "batch-variant", per_second=200, repairs=[repair(**({"name": "surgical"} | spoilt))])
    assert recommend([result("steady"), mended], Policy()).chosen == "steady"


def test_a_repair_that_was_not_timed_says_why() -> None:
    untimed = repair(
        throughput_ratio={}, latency_ratio={}, unpriced="steady is batch-invariant as it is, and clearly faster"
    )
    mended = result("fast", "batch-variant", per_second=200, repairs=[untimed])
    assert reasons(recommend([result("steady"), mended], Policy()))["fast+surgical"] == (
        "throughput not measured, as steady is batch-invariant as it is, and clearly faster"
    )


def test_a_top1_stable_repair_meets_the_policy_that_asks_for_no_more() -> None:
    rechecked = repair("recheck", batch_invariant=False, top1_stable=True)
    mended = result("fast", "batch-variant", per_second=200, repairs=[rechecked])
    assert recommend([mended], Policy(stability="top1-stable")).chosen == "fast+recheck"


@pytest.mark.parametrize(("as_native", "chosen"), [(True, "fast+surgical"), (False, "steady"), (None, "steady")])
def test_accuracy_is_the_native_one_only_where_the_singles_are(as_native: bool | None, chosen: str) -> None:
    mended = repair(singles_as_native=as_native)
    fast = result("fast", "batch-variant", per_second=200, top1=0.9, discordant=(0, 0, 400), repairs=[mended])
    steady = result("steady", top1=0.9, discordant=(0, 0, 400))
    advice = recommend([steady, fast], Policy(max_accuracy_drop=2.0))
    assert advice.chosen == chosen
    if chosen == "steady":
        assert "changes its singles, and the accuracy of these was not measured" in reasons(advice)["fast+surgical"]


@pytest.mark.parametrize(("same", "chosen"), [(16, "fast+surgical"), (13, "steady"), (None, "steady")])
def test_a_repair_that_changes_singles_is_judged_by_the_answers_of_these(same: int | None, chosen: str) -> None:
    own = None if same is None else agreed(same, 16)
    mended = repair(singles_as_native=False, agreement=own)
    fast = result("fast", "batch-variant", per_second=200, agreement=agreed(16, 16), repairs=[mended])
    advice = recommend([result("steady", agreement=agreed(16, 16)), fast], Policy())
    assert advice.chosen == chosen
    if chosen == "steady":
        why = reasons(advice)["fast+surgical"]
        assert ("these were not compared with it" if same is None else "agrees with fp64 on 13 of 16") in why


def test_a_repair_of_what_nobody_compared_is_no_better_known() -> None:
    fast = result("fast", "batch-variant", agreement_note="fp64 gave no answer to compare with", repairs=[repair()])
    assert recommend([fast], Policy(stability="none")).chosen is None


def test_what_would_change_the_choice_names_the_other_one() -> None:
    variants = [
        result("fast", "batch-variant", per_second=200),
        result("steady", latency_ms=20.0),
        result("quick", per_second=50, latency_ms=5.0, size_mb=50.0),
    ]
    assert recommend(variants, Policy()).would_change == [
        "With --policy none, fast would be chosen.",
        "With --objective latency, quick would be chosen.",
        "With --objective size, quick would be chosen.",
    ]
    demanding = recommend(variants, Policy(min_throughput_img_s=80.0))
    assert reasons(demanding)["quick"] == "throughput: 50 img/s at N = 8, below the 80 img/s demanded"
    assert recommend(variants, Policy(min_throughput_img_s=500.0)).because[1] == (
        "Without --min-throughput, steady and quick would meet it."
    )


def test_the_pareto_set_keeps_what_nothing_beats() -> None:
    variants = [
        result("balanced", top1=0.90),
        result("beaten", per_second=90, top1=0.90),
        result("accurate", per_second=50, top1=0.95),
        result("wild", "batch-variant", per_second=400, top1=0.90),
        result("broken", "invalid", per_second=999, top1=0.99),
        result("unknown", per_second=80, top1=None),
    ]
    assert [point.variant for point in pareto_set(variants, Policy())] == ["balanced", "accurate", "wild"]


def test_an_unknown_accuracy_keeps_nothing_in_the_pareto_set_that_is_beaten_otherwise() -> None:
    def unknown(name: str, speed: float) -> VariantResult:
        return result(name, per_second=speed, agreement=agreed(4, 4))

    known = result("known", top1=0.9)
    rows = [known, unknown("slow", 5), unknown("as fast", 100), unknown("fast", 400)]
    assert [point.variant for point in pareto_set(rows, Policy())] == ["known", "fast"]
    assert [point.variant for point in pareto_set(rows[1:], Policy())] == ["fast"]


def test_the_default_limits_accuracy_only_where_it_can_be_shown() -> None:
    enough, none = default_policy(300)
    assert (enough.stability, enough.max_accuracy_drop, none) == ("batch-invariant", 2.0, None)
    assert obstacles(result("v", discordant=(0, 0, 300)), enough) == []
    few, warning = default_policy(299)
    assert (few.stability, few.max_accuracy_drop) == ("batch-invariant", None)
    assert warning is not None and "299 labelled images" in warning


variants = st.lists(
    st.builds(
        lambda verdict, speed, accuracy, discordant: (verdict, speed, accuracy, discordant),
        st.sampled_from(get_args(Verdict)),
        st.sampled_from([50.0, 99.0, 100.0, 101.0, 200.0]),
        st.sampled_from([None, 0.8, 0.9]),
        st.sampled_from([None, (0, 0, 400), (8, 0, 400), (40, 0, 400)]),
    ),
    max_size=6,
).map(
    lambda rows: [
        result(f"v{i}", verdict, per_second=speed, top1=top1, discordant=drop)
        for i, (verdict, speed, top1, drop) in enumerate(rows)
    ]
)
policies = st.builds(
    Policy,
    stability=st.sampled_from(["batch-invariant", "top1-stable", "none"]),
    max_accuracy_drop=st.sampled_from([None, 2.0]),
)


@given(variants, policies)
def test_every_variant_is_chosen_or_rejected_with_a_reason(rows: list[VariantResult], policy: Policy) -> None:
    advice = recommend(rows, policy)
    named = [rejection.variant for rejection in advice.rejected] + ([advice.chosen] if advice.chosen else [])
    assert sorted(named) == sorted(row.name for row in rows)
    assert all(rejection.why for rejection in advice.rejected)
    meeting = [row for row in rows if not obstacles(row, policy)]
    assert (advice.chosen is None) == (not meeting)
    assert advice.chosen is None or advice.chosen in [row.name for row in meeting]


@given(variants)
def test_nothing_beats_a_member_of_the_pareto_set_and_something_beats_the_others(rows: list[VariantResult]) -> None:
    kept = pareto_set(rows, Policy())
    for one, other in itertools.permutations(kept, 2):
        if (one.accuracy is None) == (other.accuracy is None) and one.verdict == other.verdict:
            assert not (one.throughput_img_s > other.throughput_img_s and one.accuracy >= other.accuracy)  # type: ignore[operator]
    valid = [row for row in rows if not obstacles(row, Policy(stability="none")) and row.accuracy]
    assert bool(kept) == bool(valid)


def test_what_ran_on_a_gpu_is_deployed_from_python_alone() -> None:
    chosen = recommend([result("fp16", device="cuda")], Policy(stability="none"))
    assert chosen.chosen == "fp16" and 'to("cuda", torch.float16)' in chosen.deploy and "run.py" not in chosen.deploy
    assert "make_batch_invariant" not in chosen.deploy
    assert "make_batch_invariant(network, images)" in deployment("fp32+surgical", "cuda")


def test_of_a_slower_repaired_variant_that_time_cut_short_a_faster_way_may_be_left() -> None:
    late = repair("recheck", batch_invariant=None, out_of_time=True, latency_ratio={}, throughput_ratio={})
    fast = result("fast", per_second=400)
    for repairs, cut in (([repair()], False), ([repair(), late], True), ([repair(out_of_time=True)], True)):
        wild = result("wild", "batch-variant", repairs=repairs)
        decided = recommend([fast, wild], Policy(), race(fast=400, wild__surgical=100))
        told = {rejected.variant: rejected.why for rejected in decided.rejected}["wild+surgical"]
        ends = "; at most this slow: python run.py repair --variant wild with this study's flags tries another way"
        assert "takes" in told and told.endswith(ends) is cut


def test_the_pareto_set_and_the_choice_have_one_throughput() -> None:
    variants = [result("fast", per_second=400, top1=0.9), result("slow", top1=0.8)]
    decided = recommend(variants, Policy(), race(40, spread=0.3, fast=400, slow=100))
    assert decided.at_work is not None
    assert [point.throughput_img_s for point in decided.pareto] == [decided.at_work.throughput_img_s.median]

"""What a report once said in two ways, it says in one: each contradiction that was found has a test of its own."""

import io
import re
from typing import Any

import pytest

from isobatch.models.weights.resolve import EMBEDDED_NOTE, RANDOM_NOTE
from isobatch.pipeline.config.flags import study_parser
from isobatch.pipeline.decide.repaired_variants import with_repairs
from isobatch.pipeline.records import study as r
from isobatch.pipeline.records.wording import held
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.study.looked_into import list_is_complete
from isobatch.pipeline.tools.two_runs.regressions import variant_changes
from isobatch.reports import numbers, speeds
from isobatch.reports.blocks import Table
from isobatch.reports.files.markdown import markdown_report
from isobatch.reports.screen.terminal import print_summary
from isobatch.reports.sections import write_all
from tests.reports import studies
from tests.reports.sections.test_sections import text, written

LATE = r.Repair(name="surgical", batch_invariant=None, out_of_time=True, scope="", note="the time was over")


def rows(section: str, study: r.Study) -> dict[str | None, dict[str, str | None]]:
    """The first table of a section: by the name at the head of a row, its cells by their columns."""
    table = next(block for block in written(section, study) if isinstance(block, Table))
    titles = [column.title for column in table.columns]
    return {row[0]: dict(zip(titles, row, strict=True)) for row in table.rows}


def repaired(**changed: object) -> r.Study:
    """A study in which fp32 is the baseline and bf16 has one repair, which holds."""
    repair = r.Repair.model_validate(
        {
            "name": "static-scale",
            "batch_invariant": True,
            "scope": "16 images of digits at N = 2",
            "throughput_ratio": {"8": r.Interval(median=0.99, low95=0.97, high95=1.01, n=7)},
        }
        | changed
    )
    native = studies.measured(studies.ROWS[1]).model_copy(update={"repairs": [repair]})
    return studies.study([studies.REFERENCE, studies.measured(studies.ROWS[0]), native], inputs=studies.INPUTS)


def test_a_proof_that_time_did_not_reach_is_no_proof_that_could_not_be_made() -> None:
    late = studies.measured(studies.ROWS[0]).model_copy(update={"repairs": [LATE], "origins_complete": None})
    told = text("origins", studies.study([late]))
    assert "Not proved complete for fp32: the time for repairs was over before the proof" in told
    assert "could not be put in one fixed shape" not in told


@pytest.mark.parametrize(
    ("proof", "complete"),
    [
        ({"holds": True, "layers": ("fc",)}, True),
        ({"holds": True, "layers": ("fc", "conv")}, False),
        ({"holds": False, "layers": ("fc",)}, False),
        ({"holds": None, "out_of_time": True}, None),
        ({"holds": None}, None),
    ],
)
def test_a_list_of_origins_is_incomplete_only_where_that_was_decided(
    proof: dict[str, Any], complete: bool | None
) -> None:
    assert list_is_complete({"fc"}, [Attempt("surgical", **proof)]) is complete
    assert list_is_complete(set(), [Attempt("surgical", **proof)]) is False


def test_a_repair_whose_time_was_over_is_not_said_to_not_apply() -> None:
    native = studies.measured(studies.ROWS[0])
    holds = LATE.model_copy(update={"state": "holds", "batch_invariant": True, "out_of_time": False})
    before, after = (native.model_copy(update={"repairs": [one]}) for one in (holds, LATE))
    (change,) = variant_changes(before, after, {})
    assert (change.what, change.a, change.b) == ("repair surgical", "holds", "out of time")
    assert {held(one) for one in (holds, LATE)} == {"holds", "out of time"}


def test_the_picture_tells_no_accuracy_of_a_repair_that_has_none_measured() -> None:
    other, same = (repaired(singles_as_native=same) for same in (False, True))
    name = f"{studies.ROWS[1].name}+static-scale"
    for section in ("cost_and_stability", "overview"):
        assert rows(section, other)[name]["Accuracy drop" if section == "cost_and_stability" else "Top-1"] in (
            "not measured",
            None,
        )
    assert rows("cost_and_stability", same)[name]["Accuracy drop"] != "not measured"


def test_a_repaired_variant_has_the_same_size_and_accuracy_in_every_table() -> None:
    study = repaired(singles_as_native=True)
    name = f"{studies.ROWS[1].name}+static-scale"
    record = next(variant for variant in with_repairs(study.variants) if variant.name == name)
    assert record.cost is not None and record.accuracy is not None
    row = rows("overview", study)[name]
    assert row["Size"] == numbers.size(record.cost.size_bytes)
    assert row["Top-1"] == numbers.percent(record.accuracy.top1)
    assert study.recommendation is not None
    points = {point.variant: point for point in study.recommendation.pareto}
    assert all(rows("overview", study)[p.variant]["Size"] == numbers.size(p.size_bytes) for p in points.values())


def test_pareto_is_said_of_one_set_only() -> None:
    assert "Pareto" not in text("cost_and_stability", studies.full())
    assert "Pareto set" in text("recommendation", studies.full())


def test_a_pareto_set_of_the_choice_alone_is_left_out() -> None:
    study = studies.full()
    assert study.recommendation is not None
    alone = [point for point in study.recommendation.pareto if point.variant == study.recommendation.chosen]
    decided = study.recommendation.model_copy(update={"pareto": alone})
    assert alone and "Pareto" not in text("recommendation", study.model_copy(update={"recommendation": decided}))


def test_a_raced_variant_has_one_throughput() -> None:
    study = studies.full()
    speed, decided = speeds.chosen_throughput(study), study.recommendation
    assert speed is not None and decided is not None and decided.chosen is not None
    shown = numbers.throughput(speed.interval)
    assert rows("cost_and_stability", study)[decided.chosen]["Throughput"] == shown
    assert (
        rows("overview", study)[decided.chosen]["img/s @ N"] == f"{shown.removesuffix(' img/s')} @ {speed.batch_size}"
    )
    points = {point.variant: point.throughput_img_s for point in decided.pareto}
    assert numbers.real(points[decided.chosen], 3) == shown.removesuffix(" img/s")


def test_numbers_and_batch_sizes_have_one_spelling() -> None:
    told = markdown_report(studies.full())
    assert "images/s" not in told
    assert not re.search(r"N = \d+-\d", told), "a run of sizes is 2 to 4"
    assert numbers.percent(0.99996) == "over 99.9 %"
    drop = next(v.accuracy_drop for v in studies.full().variants if v.name == "ort-int8")
    assert drop is not None
    bound = numbers.points(drop.upper95)
    assert bound in text("accuracy", studies.full()) and bound in text("recommendation", studies.full())


def test_a_verdict_is_evidence_for_its_own_weights() -> None:
    assert "verdicts do" not in EMBEDDED_NOTE + RANDOM_NOTE
    assert "verdicts are evidence for these" in EMBEDDED_NOTE
    assert "A verdict holds for these weights" in text("environment", studies.full())


def test_verbose_adds_what_the_plain_output_leaves_out() -> None:
    (verbose,) = [action for action in study_parser()._actions if "--verbose" in action.option_strings]
    assert "folded" in (verbose.help or "")
    shown = {section.name: section.show for section in write_all(studies.full())}
    assert shown["origins"] == shown["repairs"] == "open" and shown["accuracy"] == shown["costs"] == "folded"


@pytest.mark.parametrize("changed", [{"model": "resnet18"}, {"onnx": "own.onnx"}, {"inputs": True}])
def test_the_posts_story_is_told_of_the_original_question_only(changed: dict[str, object]) -> None:
    study = studies.full()
    assert "The post suspected BatchNorm" in text("suspects", study) and written("original_post", study)
    if "model" in changed:
        study = study.model_copy(update={"weights": study.weights.model_copy(update=changed)})
    elif "onnx" in changed:
        study = study.model_copy(update={"config": study.config | changed})
    else:
        study = study.model_copy(
            update={"inputs": [input_set for input_set in study.inputs if input_set.name != "seed"]}
        )
    assert not written("suspects", study) and not written("original_post", study)


@pytest.mark.parametrize(
    ("ratio", "rough"),
    [
        (r.Interval(median=0.6, low95=None, high95=None, n=1), True),
        (r.Interval(median=0.6, low95=0.2, high95=1.4, n=3), True),
        (r.Interval(median=0.6, low95=0.55, high95=0.65, n=7), False),
    ],
)
def test_a_time_from_too_few_calls_is_marked(ratio: r.Interval, rough: bool) -> None:
    study = repaired(latency_ratio={"1": ratio}, throughput_ratio={"8": ratio})
    row = rows("overview", study)[f"{studies.ROWS[1].name}+static-scale"]
    assert [(row[title] or "").startswith("~") for title in ("ms at N = 1", "img/s @ N")] == [rough, rough]
    assert "~: of too few calls for limits" in text("overview", study)


def test_a_time_that_was_not_raced_is_marked_beside_those_that_were() -> None:
    study = studies.full()
    assert study.race is not None and study.recommendation is not None
    raced = {contestant.variant for contestant in study.race.contestants}
    for section, title in (("overview", "img/s @ N"), ("cost_and_stability", "Throughput")):
        shown = {name: row[title] for name, row in rows(section, study).items() if name and row[title]}
        assert raced < set(shown) and {name for name, cell in shown.items() if not cell.startswith("~")} == raced
    assert all((row["ms at N = 1"] or "~").startswith("~") for row in rows("overview", study).values())
    assert {point.variant for point in study.recommendation.pareto if point.raced} <= raced
    without = studies.full().model_copy(update={"race": None})
    assert "~" not in "".join(row["img/s @ N"] or "" for row in rows("overview", without).values())


def test_the_posts_table_says_which_variant_ran_at_another_n() -> None:
    study = studies.full()
    fewer = [
        v.model_copy(update={"comparisons": [c for c in v.comparisons if c.batch_size < 3]}) if v.name == "fp16" else v
        for v in study.variants
    ]
    assert "On the seed inputs at N = 4: " in text("original_post", study)
    assert "On the seed inputs at N = 4 (fp16 at N = 2): " in text("original_post", only_these(fewer))


def only_these(variants: list[r.VariantResult]) -> r.Study:
    return studies.full().model_copy(update={"variants": variants})


def test_a_chapter_speaks_of_its_own_variant() -> None:
    told = text("chapters", studies.full())
    assert "no variant was found" not in told and "Nothing to look into: ort-int8 is batch-invariant." in told
    nothing = text("origins", only_these([v for v in studies.full().variants if v.verdict == "batch-invariant"]))
    assert nothing == "Nothing to look into: no variant was found top1-stable or batch-variant."


def test_a_race_that_decided_nothing_yet_was_run() -> None:
    study = studies.full()
    assert study.race is not None
    ended = text("race", study.model_copy(update={"recommendation": None}))
    assert ended.startswith("The race was run") and "No race" not in ended
    assert text("race", study.model_copy(update={"race": None})).startswith("No race was run")


def test_where_nothing_is_chosen_there_are_no_others_and_no_ring() -> None:
    study = studies.full()
    assert study.recommendation is not None
    nothing = study.model_copy(update={"recommendation": study.recommendation.model_copy(update={"chosen": None})})
    assert "Why not the others" in text("recommendation", study)
    assert "Why none of them Every variant, with the reason." in text("recommendation", nothing)
    assert "Ringed" in text("cost_and_stability", study) and "Ringed" not in text("cost_and_stability", nothing)


def test_repeats_are_counted_over_the_variants_that_were_repeated() -> None:
    first, *others = studies.full().variants[1:4]
    bare = [v.model_copy(update={"comparisons": [c for c in v.comparisons if c.kind != "repeat"]}) for v in others]
    assert " repeat comparisons of 1 variant bit-equal" in text("suspects", only_these([first, *bare]))


def test_a_choice_of_which_no_batch_was_run_says_so() -> None:
    study = studies.full()
    bare = [v.model_copy(update={"comparisons": []}) for v in study.variants]
    assert "no batch was run" in text("answer", study.model_copy(update={"variants": bare}))


def test_of_an_onnx_file_drops_are_told_against_its_own_baseline() -> None:
    study = studies.full()
    own = [v.model_copy(update={"baseline": v.name == "ort-fp32"}) for v in study.variants]
    of_file = study.model_copy(update={"variants": own})
    assert "accuracy drop against ort-fp32" in text("answer", of_file) and "Only ort-fp32 right" in text(
        "accuracy", of_file
    )
    assert "accuracy drop against fp32" in text("answer", study) and "Only fp32 right" in text("accuracy", study)


@pytest.mark.parametrize(("explain", "said"), [("none", "--no-explain"), ("default", "--no-repair")])
def test_why_nothing_was_repaired_names_the_flag_that_forbade_it(explain: str, said: str) -> None:
    study = studies.unasked()
    told = text("repairs", study.model_copy(update={"config": study.config | {"explain": explain, "repair": False}}))
    assert said in told


def test_a_network_that_mixes_images_was_not_asked_not_to_repair() -> None:
    study = studies.full()
    unproved = [v.model_copy(update={"repairs": None, "origins_complete": None}) for v in study.variants]
    mixing = r.Mixing(
        variant="fp32", mixes=True, batch_size=4, tried=8, change=0.1, largest_logit=9.0, evidence="It does."
    )
    told = text("origins", study.model_copy(update={"variants": unproved, "mixing": mixing}))
    assert "the proof is a repair, and the network itself mixes images" in told and "--no-repair" not in told


def test_a_repair_that_keeps_the_answers_is_no_repair_that_fails_and_no_equal_bytes() -> None:
    study = repaired(name="recheck", batch_invariant=False, top1_stable=True, state="holds-top1")
    name = f"{studies.ROWS[1].name}+recheck"
    assert f"= after repair fp32+surgical ≈ after repair {name}" in text("answer", study)
    stream = io.StringIO()
    print_summary(study, {}, stream, verbose=False)
    assert f"Repaired, top1-stable: {name}" in stream.getvalue() and "No repair holds" not in stream.getvalue()


def test_what_is_still_to_come_did_not_end() -> None:
    early = studies.empty().model_copy(update={"pending": ["race", "recommendation"]})
    for section in ("fixed_point", "recommendation", "timing", "race"):
        assert "still to come when this was written" in text(section, early)
    assert "ended before" not in markdown_report(early)
    assert "the study ended before it" in markdown_report(studies.empty())

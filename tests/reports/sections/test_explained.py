"""What the sections on origins, growth and repairs say of what looking inside found."""

import math
import re
from xml.etree import ElementTree

import pytest

from isobatch.pipeline.explain.causes import all_causes
from isobatch.pipeline.records import study as r
from isobatch.pipeline.records.wording import held
from isobatch.reports import blocks
from isobatch.reports.figures.lines import Growing, specification, spread
from isobatch.reports.sections.origin_layers import condensed
from tests.reports import explained, studies
from tests.reports.sections.test_sections import text, written


def tables(section: str, study: r.Study) -> list[blocks.Table]:
    return [block for block in written(section, study) if isinstance(block, blocks.Table)]


def with_fields(**changed: object) -> r.Study:
    """A study of fp32 alone, looked into, with some of its fields changed."""
    return studies.study([studies.measured(studies.ROWS[0]).model_copy(update=changed)], inputs=studies.INPUTS)


def test_each_variant_tells_its_origins_and_whether_the_list_is_complete() -> None:
    (table,) = tables("origins", studies.full())
    rows = {row[0]: row[1:] for row in table.rows}
    assert set(rows) == set(explained.INSIDES)
    starts, kinds = "conv1; most in fc", "conv2d (21), linear (1)"
    assert rows["fp32"] == ("22 of 139", starts, kinds, "proved", "1,575,000,000", "520,000,000")
    assert rows["int8-x86"][3] == rows["ort-int8-dynamic"][3] == "incomplete"


def test_the_proof_is_told_in_words() -> None:
    told = text("origins", studies.full())
    assert "Proved complete for fp32, bf16 and int8-dynamic: with exactly these layers in one fixed shape" in told
    assert "Incomplete for int8-x86: with these layers in one fixed shape outputs still differed; it took 53" in told
    assert "Incomplete for ort-int8-dynamic: even with 54 layers in one fixed shape outputs still differ" in told


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"origins": [], "origins_complete": False}, "Incomplete for fp32: no layer differed on its own"),
        ({"origins_complete": False, "repairs": []}, "Not proved complete for fp32: its layers could not be put"),
    ],
)
def test_a_list_that_cannot_be_proved_says_why(changed: dict[str, object], expected: str) -> None:
    assert expected in text("origins", with_fields(**changed))


def test_the_report_says_which_search_it_was() -> None:
    assert "The search was the default one" in text("origins", studies.full())
    sought = next(v.locating for v in studies.full().variants if v.locating)
    full = with_fields(origins=[], locating=sought.model_copy(update={"search": "full"}))
    assert "The search was full (--explain full)" in text("origins", full)


def test_ulp_of_a_layer_whose_scale_changed_means_nothing_and_integers_count_steps() -> None:
    one = explained.origin("fc", "captured", 1.0).model_copy(update={"max_ulp": 2.05e9, "mechanism": "dynamic-scale"})
    other = one.model_copy(update={"mechanism": "requantization", "max_ulp": 1.0})
    steps = [r.Growth(layer="fc", max_abs=1.0, relative_l2=0.1, steps=3)]
    for changed, expected in (
        ({"origins": [one]}, "n/a (scale changed)"),
        ({"origins": [other], "growth": steps}, "1 step"),
        ({"origins": [other], "growth": []}, "1.0"),
    ):
        details = next(b for b in written("origin_layers", with_fields(**changed)) if isinstance(b, blocks.Details))
        table = next(block for block in details.blocks if isinstance(block, blocks.Table))
        assert table.rows[0][6] == expected


def test_the_logits_by_what_stands_beside_and_where_the_worst_lies() -> None:
    seen = [
        r.BesideLogits(what="its neighbours", change=0.04, top1_moved=False),
        r.BesideLogits(what="neighbours found by a search", change=5.0, top1_moved=True),
    ]
    effect = r.NeighbourEffect(
        victim=1, batch_size=2, tried=20, largest_logit=10.0, seen=seen, example="neighbours/fp32-worst.npy"
    )
    study = with_fields(neighbour_effect=effect)
    table = tables("neighbours", study)[-1]
    assert table.rows[-1] == ("fp32", "2", "neighbours found by a search", "5.0", "50.0 %", "another")
    assert "the batch with the worst of 20 tried lies in the run's folder as neighbours/fp32-worst.npy" in text(
        "neighbours", study
    )


def test_innocence_and_the_limits_of_the_search_are_told() -> None:
    told = text("origins", studies.full())
    assert ": no layer of these kinds was an origin in any of them: add, average-pool, batch-norm" in told
    assert "Innocent at N = " in told
    assert "int8-dynamic: 1 layer could not be replayed alone (flatten)" in told
    assert "ort-int8-dynamic: looking inside changed its output" in told
    assert "changed no bit" not in told and "changed no bit" in text("origins", with_fields())


def test_a_kind_that_is_guilty_in_one_variant_is_not_called_innocent() -> None:
    one, other = (studies.measured(studies.ROWS[at]) for at in (0, 2))
    assert one.locating is not None
    claims = one.locating.model_copy(update={"innocent_kinds": ["linear", "relu"]})
    told = text("origins", studies.study([one.model_copy(update={"locating": claims, "origins": []}), other]))
    assert "relu" in told.partition("Innocent")[2] and "linear" not in told.partition("Innocent")[2]


def test_layers_of_the_same_kernels_share_a_row() -> None:
    origins = explained.explained("fp32")["origins"]
    groups = condensed(origins)
    assert sum(map(len, groups)) == len(origins) and len(groups) < len(origins)
    table = tables("origin_layers", studies.full())[0]
    assert [row[1] for row in table.rows] == [str(len(group)) for group in groups]
    assert table.rows[0][:4] == ("conv1", "1", "conv2d", "4 and 8") and table.rows[0][5:] == (
        None,
        None,
        "drawn data",
        "{1 to 3} {4, 8}",
    )
    siblings = [row for row in table.rows if row[7] == "a sibling"]
    assert siblings and all((row[4] or "").startswith("0 of ") for row in siblings)


def test_each_group_of_origins_has_one_mechanism_and_its_evidence() -> None:
    table, trees = tables("mechanisms", studies.full())
    rows = [row for row in table.rows if row[0] == "fp32"]
    assert [row[3:] for row in rows] == [
        ("rounding-order", "kernel-switch", "layer3.0.conv3"),
        ("unexplained", None, "fc"),
    ]
    origins = explained.explained("fp32")["origins"]
    assert [row[2] for row in rows] == [str(len(origins) - 1), "1"]
    assert ("fp32", "layer3.0.conv3", "1", "256 summands: a chain of 256") in trees.rows
    assert ("fp32", "layer3.0.conv3", "4", "256 summands: 2 chains of 128") in trees.rows
    told = text("mechanisms", studies.full())
    assert "fc · made-up: inconclusive. <b>These rows</b> show nothing." in told
    assert "kernel-switch: supported. Logged at N = 1: [SGEMM]." in told


def test_the_questions_are_those_of_the_causes_themselves() -> None:
    told = text("mechanisms", studies.full())
    for cause in all_causes():
        tried = cause.name in ("rounding-order", "kernel-switch")
        assert all((words in told) == tried for words in (cause.question, cause.if_supported, cause.if_refuted))


def test_origins_that_nothing_was_tried_at_are_not_given_a_mechanism() -> None:
    bare = [
        origin.model_copy(update={"mechanism": None, "causes": []}) for origin in explained.explained("fp32")["origins"]
    ]
    told = text("mechanisms", with_fields(origins=bare))
    assert "No mechanism was sought" in told


def test_the_repairs_tell_whether_they_hold_what_they_change_and_cost() -> None:
    (table,) = tables("repairs", studies.full())
    rows = {row[0]: row[1:] for row in table.rows}
    assert [column.title for column in table.columns[-2:]] == ["Latency, N = 1", "Throughput"]
    assert rows["int8-x86"][:4] == ("surgical", "holds", "53 of 139", "1.93 x (1.89 to 1.97)")
    assert re.fullmatch(r"0\.\d+ x \(.*\) at N = 8; 0\.\d+ x \(.*\) at N = 16", rows["int8-x86"][4] or "")
    assert rows["ort-int8-dynamic"] == ("surgical", "does not hold", "54 of 139", None, None)
    told = text("repairs", studies.full())
    assert "ort-int8-dynamic+surgical: 3 of 16 images still differ at N = 16." in told
    assert f"checked bitwise over {explained.SCOPE}." in told


def test_a_repair_that_was_not_tried_or_does_not_apply_is_named() -> None:
    assert "fp32: no repair was tried, because it could not be put" in text("repairs", with_fields(repairs=[]))
    assert "because no origin was found" in text("repairs", with_fields(repairs=[], origins=[]))
    rows = [row for row in tables("repairs", studies.strange())[0].rows if row[0] == "poisoned"]
    assert [row[2] for row in rows] == ["holds"]
    tiny = "0.004 x (minus infinite to infinite)"
    assert rows[0][4:] == (tiny, f"NaN at N = 4; {tiny} at N = 8")
    assert "To poisoned these do not apply: static-scale (nothing here has a dynamic scale)." in text(
        "repairs", studies.strange()
    )


def test_rungs_that_do_not_apply_are_gathered_by_reason_and_a_switch_names_where_it_leads() -> None:
    no_scales = {"batch_invariant": None, "scope": "", "note": "it has no activation scales"}
    repairs = [
        r.Repair.model_validate({"name": "static-scale"} | no_scales),
        r.Repair.model_validate({"name": "pow2-scale"} | no_scales),
        r.Repair(name="one-graph", batch_invariant=None, scope="", note="it has no graph"),
        r.Repair(name="switch", batch_invariant=True, scope="the whole study", switched_to="ort-int8"),
    ]
    study = with_fields(repairs=repairs)
    (table,) = tables("repairs", study)
    assert [row[:3] for row in table.rows] == [("fp32", "switch to ort-int8", "holds")]
    gathered = (
        "To fp32 these do not apply: static-scale and pow2-scale (it has no activation scales); "
        "one-graph (it has no graph)."
    )
    assert gathered in text("repairs", study)


def test_growth_begins_at_the_first_layer_that_differs() -> None:
    (figure,) = [block for block in written("growth", studies.full()) if isinstance(block, blocks.Figure)]
    rows = [row for row in figure.table.rows if row[0] == "bf16"]
    assert rows[0][1] == "layer4.0.conv1" and rows[0][6] == "yes" and rows[-1][1] == "fc"
    assert len({row[0] for row in figure.table.rows}) == len(explained.INSIDES)


def test_growth_that_is_not_finite_is_in_the_table_and_does_not_break_the_picture() -> None:
    (figure,) = [block for block in written("growth", studies.strange()) if isinstance(block, blocks.Figure)]
    values = [row[3] for row in figure.table.rows if row[0] == "poisoned"]
    assert values == ["4.9e-324", "0", "NaN", "1.0e+308", "infinite", "0.30"]
    assert "svg" in studies.draw(figure)


def test_growth_without_a_difference_is_said_not_drawn() -> None:
    flat = [r.Growth(layer="conv1", max_abs=0.0, relative_l2=0.0)]
    growth_blocks = written("growth", with_fields(growth=flat))
    assert not any(isinstance(block, blocks.Figure) for block in growth_blocks)
    assert "no layer differed by a finite amount on this image: fp32" in text("growth", with_fields(growth=flat))


def drawn(*lines: Growing) -> ElementTree.Element:
    table = blocks.Table("t", (blocks.Column("a"),), ())
    return ElementTree.fromstring(studies.draw(blocks.Figure("A title", "words", specification(lines), table)))


def test_each_line_and_each_origin_is_named_on_hover_and_each_line_at_its_end() -> None:
    a = Growing("a", [0.0, 1e-7, 0.0, 1e-6], 1, "a in words", "a begins")
    b = Growing("b", [1e-3] * 3, None, "b in words", "")
    root = drawn(a, b)
    titles = [element.text for element in root.iter() if element.tag.endswith("}title")]
    assert sorted(filter(None, titles)) == ["a begins", "a in words", "a in words", "b in words"]  # a is interrupted
    assert {"a", "b"} <= {element.text for element in root.iter() if element.tag.endswith("}text")}
    assert not any("style" in element.attrib for element in root.iter())


@pytest.mark.parametrize("values", [[5e-324], [1.7e308], [1e-300, 1e300], [math.nan, 0.5, math.inf]])
def test_extreme_growth_is_drawn(values: list[float]) -> None:
    root = drawn(Growing("odd", values, None, "odd in words", ""))
    assert any(element.text == "odd in words" for element in root.iter() if element.tag.endswith("}title"))


def test_names_at_the_ends_keep_their_distance() -> None:
    assert spread([10, 200], 15, 380) == [10, 200]
    assert spread([100, 100, 104], 15, 380) == [100, 115, 130]
    assert spread([375, 379, 380], 15, 380) == [350, 365, 380]


def test_an_integer_layer_tells_how_many_of_its_values_are_another_step() -> None:
    grown = [r.Growth(layer="conv1", max_abs=1.0, relative_l2=1e-3, steps=1_204)]
    (figure,) = [block for block in written("growth", with_fields(growth=grown)) if isinstance(block, blocks.Figure)]
    assert figure.table.rows[0][4:6] == ("1.0", "1,204")


def test_scripts_are_listed_once_with_their_layers_and_missing_ones_with_the_reason() -> None:
    one, other, last = (explained.origin(name, "captured", 1e-6) for name in ("layer3.0.conv1", "layer3.1.conv1", "fc"))
    script = {"reproducer": "reproducers/fp32-layer3.0.conv1.py"}
    origins = [
        one.model_copy(update=script),
        other.model_copy(update=script),
        last.model_copy(update={"reproducer_note": "it makes 2 operations"}),
    ]
    told = text("origin_layers", with_fields(origins=origins))
    assert told.count("reproducers/fp32-layer3.0.conv1.py") == 1
    assert "for layer3.0.conv1 and layer3.1.conv1" in told
    assert "None for fc: it makes 2 operations." in told


def test_the_posts_suspects_are_answered_with_their_evidence() -> None:
    told = text("suspects", studies.full())
    assert "BatchNorm is innocent in fp32" in told
    assert "no output differed at any N, so that no layer can be guilty" in told
    assert "Execution out of order is no cause" in told and "repeat comparisons" in told


def test_a_guilty_suspect_is_called_guilty() -> None:
    fp32 = studies.measured(studies.ROWS[0])
    guilty = explained.origin("bn1", "captured", 1e-6)
    repeats = [c.model_copy(update={"bitwise_equal": c.kind != "repeat"}) for c in fp32.comparisons]
    told = text(
        "suspects",
        studies.study([fp32.model_copy(update={"origins": [guilty], "comparisons": repeats})], inputs=studies.INPUTS),
    )
    assert "BatchNorm is guilty in fp32: 1 such layer" in told
    assert "cannot be ruled out for fp32: 0 of the" in told


def test_without_evidence_the_suspects_are_not_judged() -> None:
    assert "Neither can be answered" in text("suspects", with_fields(origins=None, locating=None, comparisons=[]))


def test_a_study_that_was_asked_not_to_repair_says_so_and_claims_no_proof() -> None:
    variant = studies.measured(studies.ROWS[0]).model_copy(update={"repairs": None, "origins_complete": None})
    study = studies.study([variant])
    changed = study.model_copy(update={"config": {**study.config, "repair": False}})
    assert text("repairs", changed) == "Not run: the study was asked not to repair (--no-repair)."
    assert "Not proved complete for fp32: the proof is a repair" in text("origins", changed)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"batch_invariant": None, "state": "fails"}, "failed"),
        ({"batch_invariant": False, "top1_stable": True}, "top-1 holds"),
        ({"batch_invariant": False, "top1_stable": False}, "does not hold"),
    ],
)
def test_a_repair_that_was_not_tried_is_not_called_one_that_fails(changed: dict[str, object], state: str) -> None:
    repair = r.Repair.model_validate({"name": "recheck", "batch_invariant": True, "scope": ""} | changed)
    (table,) = tables("repairs", with_fields(repairs=[repair]))
    assert table.rows[0][2] == state


def test_a_repair_that_time_did_not_reach_has_no_row_and_a_remark() -> None:
    late = r.Repair(name="recheck", batch_invariant=None, out_of_time=True, scope="", note="the time was over")
    assert not tables("repairs", with_fields(repairs=[late]))
    assert text("repairs", with_fields(repairs=[late])) == "fp32+recheck: the time was over."


def test_a_repair_that_cannot_win_has_no_row_a_remark_and_its_own_word() -> None:
    untried = {"name": "surgical", "state": "not-tried", "batch_invariant": None, "scope": "", "note": "it costs more"}
    dear = r.Repair.model_validate(untried)
    study = with_fields(repairs=[dear], origins_complete=None)
    assert held(dear) == "not tried" and not tables("repairs", study)
    assert text("repairs", study) == "fp32+surgical: it costs more."
    assert "Not proved complete for fp32: the proof, which is a repair, was not tried" in text("origins", study)


def test_scope_stands_beside_what_is_claimed() -> None:
    variant = studies.measured(studies.ROWS[0])
    assert variant.locating is not None and variant.origins
    condition = variant.origins[0].condition.model_copy(update={"threads": 2, "image_size": 64})
    update = {"condition": condition, "batch_sizes": [2, 3, 8], "innocent_kinds": ["batch-norm"]}
    study = studies.study(
        [variant.model_copy(update={"locating": variant.locating.model_copy(update=update)})], inputs=studies.INPUTS
    )
    told = text("origins", study)
    assert "Innocent at N = 2, 3 and 8, 2 threads, 64 pixels: " in told
    assert "(N = 2, 3 and 8, 2 threads, 64 pixels): replayed alone" in text("suspects", study)


def test_a_list_proved_complete_says_over_what() -> None:
    assert "no output depended on N any more, over " in text("origins", with_fields())

from collections.abc import Iterator

import pytest

from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.records import study as r
from isobatch.pipeline.records.study import Study
from isobatch.reports import blocks
from isobatch.reports.blocks import Block, Code, Line, Link
from isobatch.reports.sections import Section, all_sections, write_all
from isobatch.reports.sections.answer import headline, not_measured, scope
from isobatch.reports.sections.race import in_short, price_line
from tests.pipeline.decide.test_ranges import verified
from tests.pipeline.results import race
from tests.reports import studies

SECTIONS = all_sections()
STUDIES = list(studies.ALL)


def flat(written_blocks: Iterator[Block] | tuple[Block, ...] | list[Block]) -> Iterator[Block]:
    for block in written_blocks:
        yield block
        if isinstance(block, blocks.Callout | blocks.Details):
            yield from flat(block.blocks)
        if isinstance(block, blocks.Figure):
            yield block.table


def words(prose: Line) -> str:
    return "".join(part.text if isinstance(part, Code | Link) else part for part in prose)


def said(block: Block) -> list[str]:
    """Every text of one block, those of nested blocks left out."""
    match block:
        case blocks.Heading(text):
            return [text]
        case blocks.Paragraph(prose):
            return [words(prose)]
        case blocks.Bullets(items):
            return [words(item) for item in items]
        case blocks.Listing(text):
            return [part for part in text.splitlines() if part]
        case blocks.Definitions(items):
            return [text for term, prose in items for text in (term, words(prose))]
        case blocks.KeyFigures(items):
            return [
                text
                for item in items
                for text in (item.label, item.value, *([words(item.remark)] if item.remark else []))
            ]
        case blocks.Table():
            cells = [cell for row in block.rows for cell in row if cell is not None]
            return [block.caption, *(column.title for column in block.columns), *cells]
        case blocks.Figure():
            return [block.title, block.description]
        case blocks.Callout():
            return [words(block.title)]
        case blocks.Details():
            return [block.summary]
        case blocks.Absent(why):
            return [words(why)]


def written(name: str, study: Study) -> list[Block]:
    return list(flat(next(s for s in SECTIONS if s.name == name).write(study)))


def text(name: str, study: Study) -> str:
    """All that a section says."""
    return " ".join(part for block in written(name, study) for part in said(block))


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_every_section_says_something_on_every_study(section: Section, study: str) -> None:
    texts = [text for block in flat(section.write(studies.ALL[study]())) for text in said(block)]
    asked = "seed" in {each.name for each in studies.ALL[study]().inputs}  # the original question
    assert texts or (section.name in ("original_post", "suspects") and not asked)
    for text in texts:
        assert text.strip(), "an empty text"
        assert text != "None", f"an absent value was written as a word: {text}"
        assert text != "nan", f"a number was not given its words: {text}"


def test_sections_have_places_titles_and_names_of_their_own() -> None:
    assert [s.order for s in SECTIONS] == sorted({s.order for s in SECTIONS})
    assert len({s.title for s in SECTIONS}) == len(SECTIONS)
    assert {s.show for s in SECTIONS} == {"first", "open", "folded", "chapter"}


def test_the_answer_comes_first() -> None:
    assert write_all(studies.full())[0].name == "answer"


def test_the_choice_is_the_headline_and_marked_in_the_overview() -> None:
    study = studies.full()
    assert study.recommendation is not None and study.recommendation.chosen is not None
    chosen = study.recommendation.chosen
    assert words(headline(study)) == f"Deploy {chosen}, 8 images at a time"
    (table,) = [b for b in written("overview", study) if isinstance(b, blocks.Table)]
    assert table.chosen is not None and table.rows[table.chosen][0] == chosen


def test_the_price_is_told_against_the_fastest_and_fp32() -> None:
    accurate = studies.measured(studies.ROWS[4]._replace(top1=0.976))
    variants = [accurate if variant.name == accurate.name else variant for variant in studies.full().variants]
    text = words(price_line(studies.study(variants)))
    assert "39 % less throughput than the fastest, int8-x86, which is batch-variant" in text
    assert "batch-variant: 106 img/s at N = 8" in text
    assert "About 2.83 x the throughput of ort-fp32" in text


def test_the_price_is_not_told_against_one_called_batch_invariant_that_the_range_rejected() -> None:
    failed = verified(4, (5, "batch", 0))
    fast = studies.measured(studies.ROWS[4]._replace(top1=0.976))
    fast = fast.model_copy(update={"verdict": "batch-invariant", "range": failed})
    study = studies.study([fast, *(v for v in studies.full().variants if v.name != fast.name)])
    paid = decided(study).price_of_stability
    assert paid is not None and paid.variant == fast.name
    assert f"{fast.name}, which is top1-stable" in words(price_line(study))


def test_a_repaired_choice_has_its_price_too() -> None:
    study = studies.mended()
    assert words(headline(study)) == "Deploy int8-x86+surgical, 8 images at a time"
    text = words(price_line(study))
    assert "About 6 % less throughput than the fastest, int8-x86, which is batch-variant: 164 img/s at N = 8" in text
    (figures,) = [b for b in written("answer", study) if isinstance(b, blocks.KeyFigures)]
    assert (figures.items[-1].label, figures.items[-1].value) == ("Price of stability", "6 % slower")


def test_a_repaired_choice_is_marked_in_the_overview_and_joined_in_the_picture() -> None:
    (table,) = [b for b in written("overview", studies.mended()) if isinstance(b, blocks.Table)]
    assert table.chosen is not None
    row = table.rows[table.chosen]
    assert row[:2] == ("int8-x86+surgical", "batch-invariant") and row[5:7] == ("~23.4", "~164 @ 8")
    (figure,) = [b for b in written("cost_and_stability", studies.mended()) if isinstance(b, blocks.Figure)]
    (rings,) = [layer for layer in figure.spec["layer"] if layer.get("transform") == [{"filter": "datum.chosen"}]]
    assert rings["mark"]["type"] == "point"
    assert [value["name"] for value in figure.spec["data"]["values"] if value["chosen"]] == ["int8-x86+surgical"]


def test_the_fastest_has_no_price() -> None:
    study = studies.study([studies.measured(studies.ROWS[9])])
    text = words(price_line(study))
    own = "106 img/s at N = 8"
    assert text == f"Nothing: no variant that meets every other demand is shown to be faster than its {own}."


def decided(study: Study) -> r.Recommendation:
    assert study.recommendation is not None
    return study.recommendation


def test_the_first_screen_says_what_decided_the_runner_up_and_how_sure_that_is() -> None:
    study = studies.full()
    text = in_short(study)
    told = "runner-up ort-int8-qoperator, 1.02 x the time; sureness 92 %; 40 rounds."
    assert text == f"Decided by speed; {told}"
    unsure = decided(study).model_copy(update={"sureness": r.Sureness(share=0.79, resamples=4000)})
    doubted = study.model_copy(update={"recommendation": unsure})
    assert words(headline(doubted)) == "Deploy ort-int8, 8 images at a time; ort-int8-qoperator is as good"
    at_4 = study.model_copy(update={"recommendation": unsure.model_copy(update={"runner_up_batch_size": 4})})
    assert words(headline(at_4)).endswith("; ort-int8-qoperator at N = 4 is as good")


def of_error(variant: r.VariantResult, error: float) -> r.VariantResult:
    measures = {"relative_l2": error, "relative_error_median": error}
    comparisons = [c.model_copy(update=measures) if c.kind == "vs-reference" else c for c in variant.comparisons]
    return variant.model_copy(update={"comparisons": comparisons})


@pytest.mark.parametrize(("error", "said"), [(0.5, " and less error against fp64"), (0.011, "")])
def test_the_fastest_is_said_to_have_less_error_where_it_has(error: float, said: str) -> None:
    study = studies.full()
    errors = {"ort-int8": 0.01, "ort-int8-qoperator": error}
    variants = [of_error(v, errors[v.name]) if v.name in errors else v for v in study.variants]
    text = in_short(study.model_copy(update={"variants": variants}))
    assert text.startswith(f"Decided by speed{said}; runner-up ort-int8-qoperator, 1.02 x the time; sureness 92 %")


def test_the_reference_itself_is_not_said_to_have_less_error() -> None:
    study = studies.full()
    alone = {"comparisons": [], "agreement": None, "baseline": True}
    variants = [v.model_copy(update=alone) if v.name == "ort-int8" else v for v in study.variants if v.name != "fp64"]
    text = in_short(study.model_copy(update={"variants": variants}))
    assert text.startswith("Decided by speed and the reference's own outputs; runner-up ort-int8-qoperator")
    first = decided(study).model_copy(update={"decided_by": "error"})
    by_error = study.model_copy(update={"variants": variants, "recommendation": first})
    assert in_short(by_error).startswith("Decided by the reference's own outputs, among the fastest; ")


def test_the_rounds_of_the_only_one_that_was_raced_decided_nothing() -> None:
    study = studies.full()
    alone = race(ort_int8=106)
    advice = recommend(study.variants, decided(study).policy, alone)
    text = in_short(study.model_copy(update={"race": alone, "recommendation": advice}))
    assert text == "Decided by times seen while outputs were gathered, as no other candidate was raced to the end."


def test_a_race_of_few_rounds_promises_nothing() -> None:
    study = studies.full()
    given = decided(study)
    assert given.race is not None
    short = given.race.model_copy(update={"rounds": 3})
    thin = given.model_copy(update={"sureness": None, "race": short})
    undecided = study.model_copy(update={"recommendation": thin})
    assert words(headline(undecided)).endswith("; the race was too short to tell it from ort-int8-qoperator")
    said = in_short(undecided)
    assert said.endswith("1.02 x the time; 3 rounds of the 10 that say how sure it is.")


def test_an_unsteady_race_and_none_at_all_are_said() -> None:
    study = studies.full()
    shaky = decided(study).race.model_copy(update={"unsteady": True})  # type: ignore[union-attr]
    changed = study.model_copy(update={"recommendation": decided(study).model_copy(update={"race": shaky})})
    assert in_short(changed).endswith("40 rounds, timings are unsteady.")
    none = recommend(study.variants, decided(study).policy)
    assert in_short(study.model_copy(update={"recommendation": none})).endswith("no race was run.")


def test_the_race_is_one_row_a_contestant() -> None:
    (table,) = [block for block in written("race", studies.full()) if isinstance(block, blocks.Table)]
    rows = {row[0]: row for row in table.rows}
    assert rows["ort-int8"][1:4] == ("8", "1.00 (1.00 to 1.02)", "the fastest")
    assert rows["ort-int8-qoperator"][3] == "undecided" and rows["int8-x86"][3] == "no candidate"
    assert rows["ort-int8"][5:8] == ("undecided", "undecided", "40")
    (told,) = [block for block in written("race", studies.full()) if isinstance(block, blocks.Bullets)]
    assert [words(item) for item in told.items] == ["Not raced: fp32: clearly slower."]


def test_what_was_not_measured_is_named() -> None:
    text = not_measured(studies.full())
    assert "int8-pt2e (unavailable)" in text and "N = 8, 16 on seed, because the set has 4 images" in text


@pytest.mark.parametrize("name", [v.name for v in studies.full().variants])
def test_the_overview_has_a_row_for_each_variant(name: str) -> None:
    (table,) = [b for b in written("overview", studies.full()) if isinstance(b, blocks.Table)]
    assert [row[0] for row in table.rows].count(name) == 1


def test_the_original_post_stands_beside_the_variants() -> None:
    table = next(b for b in written("original_post", studies.full()) if isinstance(b, blocks.Table))
    assert table.rows[0][4:8] == ("1.5e-06", "1.9e-06", "1.9e-06", "3.8e-06")
    rows = {row[0]: row for row in table.rows}
    assert rows["fp32"][1:4] == ("bit-equal", "bit-equal", "close")
    assert rows["bf16"][3] == "not close"
    assert rows["ort-int8"][4:] == ("0", "0", "0", "0", "bit-equal")
    assert "N = 4" in table.caption and "rtol = 1e-05" in table.caption


def test_flips_are_never_a_bare_zero() -> None:
    for name in ("batch_sizes", "neighbours"):
        for table in written(name, studies.full()):
            if isinstance(table, blocks.Table):
                at = [i for i, column in enumerate(table.columns) if column.title == "Answers changed"]
                assert all("at most" in (row[i] or "") for row in table.rows for i in at)


def test_a_strange_output_is_named_not_hidden() -> None:
    (table,) = [b for b in written("overview", studies.strange()) if isinstance(b, blocks.Table)]
    rows = {row[0]: row for row in table.rows}
    assert rows["poisoned"][3] == "NaN [nan]"
    details = written("batch_sizes", studies.strange())
    cells = [cell for table in details if isinstance(table, blocks.Table) for row in table.rows for cell in row]
    assert "not comparable [shape-mismatch]" in cells and "infinite [inf, signed-zero]" in cells


def test_a_gpu_is_part_of_the_scope_and_figures_say_whose_they_are() -> None:
    study = studies.on_gpu()
    assert "NVIDIA H100 80GB HBM3 (driver 580.65, CUDA 13.0, cuDNN 91301) for fp32" in scope(study)
    table = next(b for b in written("costs", study) if isinstance(b, blocks.Table))
    place = [column.title for column in table.columns].index("Runs on")
    rows = {row[0]: row for row in table.rows}
    assert rows["fp32"][place] == "cuda" and "512 MB" in rows["fp32"]
    assert {row[place] for name, row in rows.items() if name != "fp32"} == {"cpu"}
    assert "device's own time" in table.caption
    facts = [block for block in written("environment", study) if isinstance(block, blocks.Definitions)]
    assert ("GPU", "NVIDIA H100 80GB HBM3") in [(term, words(text)) for term, text in facts[0].items]
    plain = next(b for b in written("costs", studies.full()) if isinstance(b, blocks.Table))
    assert "Runs on" not in [column.title for column in plain.columns] and "GPU" not in plain.caption


def test_every_failure_is_listed_with_its_remedy() -> None:
    table = next(b for b in written("not_run", studies.broken()) if isinstance(b, blocks.Table))
    assert len(table.rows) == len(studies.broken().variants)
    assert all(reason and remedy for _, _, reason, remedy in table.rows)


def test_a_table_refuses_a_row_of_another_length() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        blocks.Table("t", (blocks.Column("a"), blocks.Column("b")), (("x",),))


def test_a_column_that_says_nothing_is_left_out_where_it_may_be() -> None:
    columns = (blocks.Column("a"), blocks.Column("b"), blocks.Column("c"))
    table = blocks.Table("A caption.", columns, (("1", None, None), ("2", None, None)))
    kept = blocks.without_empty(table, "a", "b")
    assert [column.title for column in kept.columns] == ["a", "c"] and kept.rows == (("1", None), ("2", None))

"""A chapter tells everything of one variant; the map and the ranges are drawn from what was compared."""

import math
from xml.etree import ElementTree

import pytest

from isobatch.pipeline.records import study as r
from isobatch.reports import blocks, views
from isobatch.reports.figures.charts import Drawings
from isobatch.reports.figures.ranges import Range, specification
from isobatch.reports.files.pictures import pictures
from isobatch.reports.sections import write_all
from tests.reports import studies
from tests.reports.sections.test_sections import flat, said, written


def chapters(study: r.Study) -> dict[str | None, blocks.Details]:
    (section,) = [each for each in write_all(study) if each.name == "chapters"]
    return {block.anchor: block for block in section.blocks if isinstance(block, blocks.Details)}


def told(chapter: blocks.Details) -> str:
    return " ".join(text for block in flat(chapter.blocks) for text in said(block))


def test_each_variant_has_its_chapter_and_tells_only_of_itself() -> None:
    study = studies.full()
    by_anchor = chapters(study)
    assert list(by_anchor) == [views.anchor(v.name) for v in study.variants]
    headings = [b.text for b in by_anchor["variant-fp32"].blocks if isinstance(b, blocks.Heading)]
    assert headings[0] == "Verdicts, input set by input set" and headings[-1].startswith("What makes it")
    assert {"How large the difference is", "Origins, layer by layer", "Mechanism and evidence"} <= set(headings)
    assert "bf16" not in told(by_anchor["variant-fp32"])
    assert "What to do: pip install torchao" in told(by_anchor["variant-int8-pt2e"])


def test_mechanisms_and_every_intervention_are_told_with_their_evidence() -> None:
    text = told(chapters(studies.full())["variant-fp32"])
    assert "rounding-order" in text and "kernel-switch" in text
    assert "In float64 the largest difference is 4.4e-16" in text and "2 chains of 128" in text
    assert "unexplained" in text, "an origin without a mechanism must not vanish"
    unasked = told(chapters(studies.unasked())["variant-fp32"])
    assert unasked.count("--no-explain") == 1


@pytest.mark.parametrize("name", ["a b", '"><x', "", "é", "a_b", "a%b"])
def test_any_name_gives_an_anchor_that_is_a_valid_and_unambiguous_fragment(name: str) -> None:
    anchor = views.anchor(name)
    assert all(c.isascii() and (c.isalnum() or c in "-._") for c in anchor)
    assert anchor != views.anchor(name + "_") and anchor.startswith("variant-")


def test_the_map_has_a_cell_for_each_comparison_and_a_sign_for_each_state() -> None:
    (figure,) = [block for block in written("verdict_map", studies.full()) if isinstance(block, blocks.Figure)]
    cells = {value["words"]: value["text"] for chart in figure.spec["hconcat"] for value in chart["data"]["values"]}
    kinds = ("batch-vs-singles", "position", "neighbours")
    assert len(cells) == sum(c.kind in kinds for v in studies.full().variants for c in v.comparisons)
    assert {text.split()[0] for text in cells.values()} == {"=", "≈", "≠"}
    rows = {(row[0], row[1]): row[2:] for row in figure.table.rows}
    assert rows["ort-int8", "digits, 2 threads, 224 px"][0] == "= (16 of 16)"
    assert rows["ort-int8", "seed, 2 threads, 400 px"][-1] is None


def test_many_conditions_make_several_pictures_and_what_cannot_be_compared_has_a_sign() -> None:
    variant = studies.measured(studies.ROWS[0])
    isas = [c.condition.model_copy(update={"isa": f"isa-{i}"}) for i, c in enumerate(variant.comparisons)]
    many = [c.model_copy(update={"condition": isa}) for c, isa in zip(variant.comparisons, isas, strict=True)]
    odd = many[0].model_copy(update={"top1_flips": None, "max_abs_relative": math.nan})
    study = studies.study([variant.model_copy(update={"comparisons": [odd, *many[1:]]})])
    found = [block for block in written("verdict_map", study) if isinstance(block, blocks.Figure)]
    assert len(found) > 1 and found[0].title == f"Verdict map, part 1 of {len(found)}"
    assert "×" in {value["text"] for chart in found[0].spec["hconcat"] for value in chart["data"]["values"]}


@pytest.mark.parametrize("values", [(0.0, 0.0, 5e-324), (1e-300, 1.0, 1e300), (0.1, 0.1, 0.1)])
def test_extreme_ranges_are_drawn_and_equal_bytes_are_said(values: tuple[float, float, float]) -> None:
    ranges = [Range("a", "batch noise", *values, "in words"), Range("b", "batch noise", 0, 0, 0, "equal")]
    figure = blocks.Figure("t", "d", specification(ranges), blocks.Table("t", (blocks.Column("a"),), ()))
    root = ElementTree.fromstring(studies.draw(figure))
    assert [e.text for e in root.iter() if e.tag.endswith("}title")] == ["in words"]
    assert "= bit-equal" in [e.text for e in root.iter() if e.tag.endswith("}text")]


def test_the_main_pictures_stand_alone() -> None:
    sections = write_all(studies.full())
    drawn = pictures(sections, Drawings(block for section in sections for block in section.blocks))
    assert {"cost-and-stability.svg", "cost-and-stability.png", "verdict-map.svg", "growth.png"} <= set(drawn)
    for name, content in drawn.items():
        if name.endswith(".svg"):
            assert b"var(--" not in content and ElementTree.fromstring(content).tag.endswith("svg")
        else:
            assert content.startswith(b"\x89PNG") and len(content) > 10_000

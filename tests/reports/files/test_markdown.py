import re
from functools import cache

import pytest
from markdown_it import MarkdownIt

from isobatch.pipeline.records.study import Study
from isobatch.reports.blocks import Bullets, Callout, Code, Column, Details, KeyFigure, KeyFigures, Table, line
from isobatch.reports.files.markdown import MAX_BYTES, MAX_ROWS, code, escaped, markdown_report, to_markdown
from tests.reports import studies
from tests.reports.page import Page, read
from tests.reports.payloads import GROUPS, poisoned

TAGS = {
    *("h1", "h2", "h3", "p", "strong", "em", "code", "pre", "b", "sub", "ul", "li", "blockquote", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


@cache
def report(name: str) -> str:
    return markdown_report(studies.ALL[name]())


def rendered(markdown: str) -> Page:
    return read(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


def crowded() -> Study:
    study = studies.full()
    many = [v.model_copy(update={"name": f"{v.name}-{i}"}) for i in range(8) for v in study.variants]
    return study.model_copy(update={"variants": many})


@pytest.mark.parametrize("name", list(studies.ALL))
def test_the_report_fits_and_is_well_formed(name: str) -> None:
    text = report(name)
    assert len(text.encode()) < MAX_BYTES
    page = rendered(text)
    assert {element.tag for element in page.elements} <= TAGS
    assert page.unbalanced == []


def test_what_does_not_fit_is_named() -> None:
    text = markdown_report(crowded())
    assert len(text.encode()) < MAX_BYTES
    assert "Only in report.html" in text and "# resnet50" in text and "Deploy" in text


def test_the_longest_is_left_out_first() -> None:
    text = report("full")
    assert "*Only in report.html, for want of room here: Variant by variant" in text


def test_long_sections_are_folded() -> None:
    text = report("full")
    assert "<details><summary><b>Glossary</b></summary>" in text
    assert "## The original post's own table" in text


@pytest.mark.parametrize("payloads", GROUPS)
def test_no_string_becomes_markup(payloads: tuple[str, ...]) -> None:
    page = rendered(markdown_report(poisoned(studies.small(), " ".join(payloads))))
    assert {element.tag for element in page.elements} <= TAGS
    assert all(not element.attributes or set(element.attributes) == {"style"} for element in page.elements)
    assert page.unbalanced == []
    text = page.text.replace("\u200b", "")
    for payload in payloads:
        one_line = payload.replace("\n", " ")
        safe = re.sub(r"[\x00-\x1f\x7f-\x9f\u200f\u202e\u2066]", "\N{REPLACEMENT CHARACTER}", one_line)
        assert " ".join(safe.split()) in text


@pytest.mark.parametrize(
    "text", ["a|b", "`", "``", "a`b``c", "|`|", "\\|", "*x*", "- x", "1) x", "=== ", " ", "<b>", "a\nb"]
)
def test_code_and_text_read_back(text: str) -> None:
    table = Table("c", (Column("n", "name"), Column("t")), ((text, text),))
    cells = rendered(to_markdown(table)).texts
    shown = " ".join(text.split()) or text
    assert [cell.strip() for cell in cells].count(shown.strip()) >= (2 if shown.strip() else 0)


def test_escaping_by_hand() -> None:
    assert escaped("a_b *c* <d> & |") == r"a\_b \*c\* &lt;d&gt; &amp; \|"
    assert escaped("https://x.org @me") == "https:\u200b//x.org @\u200bme"
    assert [escaped(text) for text in ("- a", "# a", "1. a", "1.5", "a - b (c)")] == [
        r"\- a",
        r"\# a",
        r"1\. a",
        "1.5",
        "a - b (c)",
    ]
    assert code("a`b") == "`` a`b ``"


def test_long_tables_are_cut_and_counted() -> None:
    table = Table("caption", (Column("n"),), tuple((str(i),) for i in range(MAX_ROWS + 5)))
    assert "5 more rows in report.html" in to_markdown(table)
    assert to_markdown(table).count("\n|") == MAX_ROWS + 1


def test_a_callout_is_one_quotation() -> None:
    callout = Callout("good", line("Deploy ", Code("x")), (Bullets((line("a"), line("b"))),))
    page = rendered(to_markdown(callout))
    assert len(page.all("blockquote")) == 1 and len(page.all("li")) == 2


def test_a_folded_title_is_html_and_shows_no_backslash() -> None:
    page = rendered(to_markdown(Details("= a_b | <i>c</i>", ())))
    assert "= a_b | <i>c</i>" in page.text


def test_a_figure_reads_as_it_is_meant() -> None:
    figures = KeyFigures(
        (KeyFigure("Same answer?", "= yes", "x", line("14 of 14")), KeyFigure("Speed", "9", "x", line("at N = 2")))
    )
    assert to_markdown(figures) == "- Same answer? **= yes** 14 of 14\n- Speed: **9** at N = 2"

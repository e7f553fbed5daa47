import base64
import hashlib
import re
from functools import cache

import pytest

from isobatch.reports.sections import write_all
from tests.reports import explained, studies
from tests.reports.page import Page, read
from tests.reports.payloads import GROUPS, poisoned
from tests.reports.studies import html_report

TAGS = {
    *("html", "head", "meta", "title", "link", "style", "body", "header", "main", "section", "nav", "div", "span"),
    *("h1", "h2", "h3", "p", "pre", "a", "code", "ul", "li", "dl", "dt", "dd", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("figure", "figcaption", "svg", "g", "path", "line", "text", "rect", "defs"),
}


@cache
def html(name: str) -> str:
    return html_report(studies.ALL[name]())


@cache
def page(name: str) -> Page:
    return read(html(name))


def check_harmless(html_page: Page) -> None:
    assert {element.tag for element in html_page.elements} <= TAGS
    for element in html_page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("style", "src", "srcset", "xlink:href", "formaction")
            if name == "href":
                assert value == "data:," or value.startswith("#")
            if name in ("fill", "stroke", "clip-path"):
                assert "url(" not in value
    assert html_page.unbalanced == []


@pytest.mark.parametrize("name", list(studies.ALL))
def test_the_page_is_whole_and_loads_nothing(name: str) -> None:
    check_harmless(page(name))
    assert len(html(name).encode()) < 2_000_000


@pytest.mark.parametrize("payloads", GROUPS)
def test_no_string_becomes_markup(payloads: tuple[str, ...]) -> None:
    html_page = read(html_report(poisoned(studies.small(), " ".join(payloads))))
    check_harmless(html_page)
    for payload in payloads:
        shown = " ".join(
            re.sub(
                r"[\x00-\x1f\x7f-\x9f\u200f\u202e\u2066]", "\N{REPLACEMENT CHARACTER}", payload.replace("\n", " ")
            ).split()
        )
        assert shown in html_page.text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202e\u2066]", html_page.text)


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    text = html("full")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [m.attributes["content"] for m in page("full").all("meta") if "http-equiv" in m.attributes]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert "@import" not in style and "url(" not in style
    assert text.index("Content-Security-Policy") < text.index("<style>")


@pytest.mark.parametrize("name", list(studies.ALL))
def test_links_inside_work_and_names_are_unique(name: str) -> None:
    html_page = page(name)
    names = [element.attributes["id"] for element in html_page.elements if "id" in element.attributes]
    assert len(names) == len(set(names))
    targets = {a.attributes["href"].removeprefix("#") for a in html_page.all("a")}
    assert targets <= set(names)
    assert targets >= {section.name for section in write_all(studies.ALL[name]())}


@pytest.mark.parametrize("name", list(studies.ALL))
def test_a_screen_reader_finds_its_way(name: str) -> None:
    html_page = page(name)
    assert html_page.all("html")[0].attributes["lang"] == "en"
    assert len(html_page.all("main")) == len(html_page.all("h1")) == len(html_page.all("nav")) == 1
    assert len(html_page.all("caption")) == len(html_page.all("table"))
    assert all(cell.attributes.get("scope") in ("col", "row") for cell in html_page.all("th"))
    labels = {element.attributes.get("aria-labelledby") for element in html_page.all("section")}
    assert labels == {h2.attributes["id"] for h2 in html_page.all("h2")}
    assert html_page.all("a")[0].attributes == {"class": "skip", "href": "#answer"}
    regions = [element for element in html_page.elements if "tabindex" in element.attributes]
    assert all(region.attributes["aria-label"] for region in regions)


def test_the_first_words_are_the_choice() -> None:
    text = page("full").text
    deploy, price = text.index("Deploy ort-int8, 8 images at a time"), text.index("Price of stability")
    assert deploy < price < text.index("Does fixed point make") < text.index("Not measured")


def test_the_picture_is_drawn_with_its_values_below() -> None:
    html_page = page("full")
    marks = html_page.titles
    held = sum(inside.holds is True for inside in explained.INSIDES.values())
    dots, lines_and_origins = len(studies.ROWS) + held, 2 * len(explained.INSIDES)
    kinds = ("batch-vs-singles", "position", "neighbours")
    made = [c for v in studies.full().variants for c in v.comparisons]
    cells = sum(c.kind in kinds for c in made)
    differing = sum(c.kind in ("batch-vs-singles", "vs-reference") and not c.bitwise_equal for c in made)
    assert len(marks) == dots + lines_and_origins + cells + differing and len(set(marks)) == len(marks)
    pictures = [e.attributes["aria-label"] for e in html_page.all("svg")]
    assert pictures[:4] == [
        "Cost against stability",
        "Verdict map",
        "How it grows",
        "fp32: batch noise and precision error",
    ]
    assert "The values of this picture" in html_page.text


def test_a_number_stays_with_its_unit() -> None:
    text = html("full")
    assert "174\N{NO-BREAK SPACE}img/s" in text and "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}8" in text


def test_a_stage_that_has_not_run_says_so_in_its_place() -> None:
    text = page("unasked").text
    sections, chapters = 3, sum(row.noise is not None for row in studies.ROWS)
    assert text.count("Not run: the study was asked not to explain (--no-explain).") == sections + chapters
    assert (
        "Not run for fp16, int8-onednn, ort-fp32 and ort-fp16: the runner cannot be looked into." in page("full").text
    )

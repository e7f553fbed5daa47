from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

import pytest

from reports.html import html_report
from reports.sections import write_all
from tests.reports import explained, studies
from tests.reports.page import Page, read
from tests.reports.payloads import PAYLOADS, poisoned

TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "a",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "main",
        "section",
    ),
    *(
        "nav",
        "ul",
        "li",
        "div",
        "span",
        "code",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
    ),
    *("figure", "figcaption", "details", "summary", "svg", "g", "path", "line", "text", "rect", "defs"),
}


@cache
def page(name: str) -> Page:
    return read(html_report(studies.ALL[name]()))


def check_harmless(found: Page) -> None:
    assert {element.tag for element in found.elements} <= TAGS
    for element in found.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on") and name not in ("style", "src", "srcset", "xlink:href", "formaction")
            if name == "href":
                assert value == "data:," or value.startswith("#")
            if name in ("fill", "stroke", "clip-path"):
                assert "url(" not in value
    assert found.unbalanced == []


@pytest.mark.parametrize("name", list(studies.ALL))
def test_the_page_is_whole_and_loads_nothing(name: str) -> None:
    check_harmless(page(name))
    assert len(html_report(studies.ALL[name]()).encode()) < 2_000_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_string_becomes_markup(payload: str) -> None:
    found = read(html_report(poisoned(studies.small(), payload)))
    check_harmless(found)
    shown = " ".join(
        re.sub(
            r"[\x00-\x1f\x7f-\x9f\u200f\u202e\u2066]", "\N{REPLACEMENT CHARACTER}", payload.replace("\n", " ")
        ).split()
    )
    assert shown in found.text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202e\u2066]", found.text)


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    html = html_report(studies.full())
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [m.attributes["content"] for m in page("full").all("meta") if "http-equiv" in m.attributes]
    assert policies == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert "@import" not in style and "url(" not in style
    assert html.index("Content-Security-Policy") < html.index("<style>")


@pytest.mark.parametrize("name", list(studies.ALL))
def test_links_inside_work_and_names_are_unique(name: str) -> None:
    found = page(name)
    names = [element.attributes["id"] for element in found.elements if "id" in element.attributes]
    assert len(names) == len(set(names))
    targets = {a.attributes["href"].removeprefix("#") for a in found.all("a")}
    assert targets <= set(names)
    assert targets == {section.name for section in write_all(studies.ALL[name]())}


@pytest.mark.parametrize("name", list(studies.ALL))
def test_a_screen_reader_finds_its_way(name: str) -> None:
    found = page(name)
    assert found.all("html")[0].attributes["lang"] == "en"
    assert len(found.all("main")) == len(found.all("h1")) == len(found.all("nav")) == 1
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(cell.attributes.get("scope") in ("col", "row") for cell in found.all("th"))
    labels = {element.attributes.get("aria-labelledby") for element in found.all("section")}
    assert labels == {h2.attributes["id"] for h2 in found.all("h2")}
    assert found.all("a")[0].attributes == {"class": "skip", "href": "#answer"}
    regions = [element for element in found.elements if "tabindex" in element.attributes]
    assert all(region.attributes["aria-label"] for region in regions)


def test_the_first_words_are_the_choice() -> None:
    text = page("full").text
    assert text.index("Deploy ort-int8, 8 images at a time") < text.index("Does fixed point make") < text.index("Price")


def test_the_picture_is_drawn_with_its_values_below() -> None:
    found = page("full")
    marks = [e.attributes["aria-label"] for e in found.all("path") if e.attributes.get("role") == "img"]
    held = sum(inside.holds is True for inside in explained.INSIDES.values())
    dots = len(studies.ROWS) + held
    lines_and_origins = 2 * len(explained.INSIDES)
    assert len(marks) == dots + lines_and_origins and len(set(marks)) == len(marks)
    assert [e.attributes["aria-label"] for e in found.all("svg")] == ["Cost against stability", "How it grows"]
    assert "The values of this picture" in found.text


def test_a_number_stays_with_its_unit() -> None:
    html = html_report(studies.full())
    assert "174\N{NO-BREAK SPACE}img/s" in html and "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}8" in html


def test_a_stage_that_has_not_run_says_so_in_its_place() -> None:
    text = page("unasked").text
    assert text.count("Not run: the study was asked not to explain (--no-explain).") == 5
    assert (
        "Not run for fp16, int8-onednn, ort-fp32 and ort-fp16: the runner cannot be looked into." in page("full").text
    )

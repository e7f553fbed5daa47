"""The report as a browser shows it: silent, whole, readable, and deaf to what its strings try."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.reports import studies
from tests.reports.payloads import PAYLOADS, poisoned
from tests.reports.studies import html_report

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true })"


def opened(
    browser: Any, path: Path, viewport: dict[str, int], scheme: str = "light", **more: Any
) -> tuple[Any, list[str]]:
    """The page, and what it said or asked for: console messages, errors, dialogs, requests beyond its own file."""
    page = browser.new_context(viewport=viewport, color_scheme=scheme, **more).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: heard.append(f"request: {request.url}"))
    page.goto(path.as_uri())
    heard.remove(f"request: {path.as_uri()}")
    return page, heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["real", "broken"])
def test_it_is_drawn_in_silence(browser: Any, report: Any, name: str, viewport: dict[str, int], scheme: str) -> None:
    page, heard = opened(browser, report(name), viewport, scheme)
    page.evaluate(OPEN)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"], "it scrolls sideways"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    page.context.close()


def test_the_first_screen_says_what_to_deploy_and_why(browser: Any, report: Any) -> None:
    page, _ = opened(browser, report("real"), DESKTOP)
    section = page.locator("#answer")
    for words in (
        "Deploy",
        "Policy:",
        "Same answer in any batch?",
        "Price of stability",
        "Does fixed point",
        "Scope",
        "Not measured",
    ):
        box = section.get_by_text(words).first.bounding_box()
        assert box is not None and box["y"] + box["height"] <= DESKTOP["height"], words
    page.context.close()


def test_without_a_choice_the_first_screen_says_so(browser: Any, report: Any) -> None:
    page, _ = opened(browser, report("broken"), DESKTOP)
    assert page.get_by_text("No variant meets the policy").first.bounding_box()["y"] < DESKTOP["height"]
    page.context.close()


@pytest.mark.parametrize("name", ["real", "full", "strange"])
def test_every_chart_shows_marks(browser: Any, report: Any, name: str) -> None:
    page, _ = opened(browser, report(name), DESKTOP)
    page.evaluate(OPEN)
    marks = page.evaluate(
        """() => [...document.querySelectorAll('figure')].map(figure => [...figure.querySelectorAll('[role=img]')]
           .filter(mark => mark.querySelector('title').textContent && mark.getBoundingClientRect().width > 1
                   && getComputedStyle(mark).fill + getComputedStyle(mark).stroke !== 'nonenone').length)"""
    )
    assert marks and all(marks)
    page.context.close()


@pytest.mark.parametrize("name", ["real", "broken"])
def test_links_inside_lead_to_something_that_is_seen(browser: Any, report: Any, name: str) -> None:
    page, _ = opened(browser, report(name), DESKTOP)
    targets = page.evaluate("[...new Set([...document.links].map(link => link.getAttribute('href')))]")
    assert len(targets) > 10
    for target in targets:
        assert target.startswith("#")
        page.evaluate("target => { location.hash = target }", target)
        seen = "target => document.getElementById(target.slice(1)).checkVisibility({contentVisibilityAuto: true})"
        assert page.evaluate(seen, target), target
    page.context.close()


def serious(page: Any) -> list[str]:
    """What axe calls a serious or critical violation on the page as it stands, each with its first example."""
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in violations if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"), [("real", DESKTOP, "light"), ("small", PHONE, "dark"), ("broken", DESKTOP, "dark")]
)
def test_no_serious_violation_of_accessibility(
    browser: Any, report: Any, name: str, viewport: dict[str, int], scheme: str
) -> None:
    page, _ = opened(browser, report(name), viewport, scheme)
    page.evaluate("for (const one of [...document.querySelectorAll('.chapter')].slice(1, 3)) one.open = true")
    page.evaluate("document.querySelector('figure details, .chapter').open = true")
    assert serious(page) == []
    page.context.close()


def test_a_planted_violation_of_accessibility_is_found(browser: Any, report: Any) -> None:
    page, _ = opened(browser, report("broken"), DESKTOP)
    page.evaluate("document.querySelector('main').innerHTML = '<a href=\"#x\"></a><p>faint</p>'")
    page.evaluate("document.querySelector('main p').style.color = '#ddd'")
    assert [violation.partition(":")[0] for violation in serious(page)] == ["color-contrast", "link-name"]
    page.context.close()


def test_the_keyboard_reaches_every_scrolling_region_and_the_way_past_the_contents(browser: Any, report: Any) -> None:
    page, _ = opened(browser, report("real"), DESKTOP)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    stuck = "[...document.querySelectorAll('.scroll')].filter(one => one.tabIndex !== 0).length"
    assert page.evaluate(stuck) == 0
    page.context.close()


def test_print_opens_what_is_folded(browser: Any, report: Any) -> None:
    page, _ = opened(browser, report("real"), DESKTOP)
    page.emulate_media(media="print")
    glossary = page.locator(".chapter > div").first
    assert glossary.bounding_box()["height"] > 20
    page.context.close()


def fives() -> Iterator[tuple[str, ...]]:
    rest = iter(PAYLOADS)
    while part := tuple(islice(rest, 5)):
        yield part


@pytest.mark.parametrize("payloads", list(fives()), ids=lambda found: f"{PAYLOADS.index(found[0])} on")
def test_no_string_is_executed(browser: Any, tmp_path: Path, payloads: tuple[str, ...]) -> None:
    """With the content policy switched off: the escaping alone must hold. Five payloads in every string."""
    path = tmp_path / "report.html"
    path.write_text(html_report(poisoned(studies.small(), " ".join(payloads))), encoding="utf-8", errors="replace")
    page, heard = opened(browser, path, DESKTOP, bypass_csp=True)
    page.evaluate(OPEN)
    page.evaluate(
        """() => { for (const one of document.querySelectorAll('*'))
                     for (const type of ['mouseover', 'focus', 'load', 'error']) one.dispatchEvent(new Event(type)) }"""
    )
    assert heard == []
    assert (
        page.evaluate("document.scripts.length + document.images.length + document.querySelectorAll('iframe').length")
        == 0
    )
    comments = "document.createNodeIterator(document, NodeFilter.SHOW_COMMENT).nextNode() === null"
    assert page.evaluate(comments), "markup of a string became a comment, which may hide the rest of it"
    handlers = (
        "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"
    )
    assert page.evaluate(handlers) == 0
    page.context.close()

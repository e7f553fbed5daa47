"""JUnit XML: test cases that a CI system can list and gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from isobatch.reports.escape import clean


@dataclass(frozen=True)
class Failure:
    """Why a case fails, in short, of which kind, and in full."""

    message: str
    kind: str
    text: str | None = None


@dataclass(frozen=True)
class Case:
    """A test case. It fails by its ``failure``, is skipped for the reason ``skipped``, else it passes."""

    classname: str
    name: str
    failure: Failure | None = None
    skipped: str | None = None
    said: str | None = None


def junit_xml(suite: str, cases: Sequence[Case]) -> bytes:
    """The XML, UTF-8, of one suite. Control characters, which XML has no way to write, are replaced."""
    counts = {
        "tests": len(cases),
        "failures": sum(case.failure is not None for case in cases),
        "skipped": sum(case.skipped is not None for case in cases),
        "errors": 0,
        "time": 0,
    }
    attributes = {"name": suite} | {name: str(count) for name, count in counts.items()}
    suites = ElementTree.Element("testsuites", attributes)
    element = ElementTree.SubElement(suites, "testsuite", attributes)
    for case in cases:
        _add(element, case)
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add(suite: ElementTree.Element, test_case: Case) -> None:
    named = {"classname": clean(test_case.classname), "name": clean(test_case.name), "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", named)
    if test_case.failure is not None:
        message, kind = clean(test_case.failure.message), test_case.failure.kind
        failure = ElementTree.SubElement(case, "failure", message=message, type=kind)
        failure.text = None if test_case.failure.text is None else _lines(test_case.failure.text)
    if test_case.skipped is not None:
        ElementTree.SubElement(case, "skipped", message=clean(test_case.skipped))
    if test_case.said is not None:
        ElementTree.SubElement(case, "system-out").text = _lines(test_case.said)


def _lines(text: str) -> str:
    return "\n".join(clean(part) for part in text.split("\n"))

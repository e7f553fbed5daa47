"""A check as JUnit XML: one test case a variant."""

from __future__ import annotations

from xml.etree import ElementTree

from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.tools.check.records import CheckReport
from isobatch.reports.escape import clean

SUITE = "isobatch check"


def check_junit(report: CheckReport, said: dict[str, str]) -> bytes:
    """The XML, UTF-8. Not batch-invariant is a failure; what could not be verified is skipped, with the reason.

    ``said``: by variant its lines of the screen.
    """
    suite = ElementTree.Element("testsuite", name=SUITE)
    for one in report.variants:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clean(report.network), name=clean(one.variant), time="0"
        )
        message = clean(": ".join(part for part in (one.verdict or one.status, one.reason) if part))
        if one.exit_code == Exit.NOT_MET:
            ElementTree.SubElement(case, "failure", message=message, type=str(one.verdict))
        elif one.exit_code == Exit.PARTIAL:
            ElementTree.SubElement(case, "skipped", message=message)
        ElementTree.SubElement(case, "system-out").text = said[one.variant]
    counts = {
        "tests": len(suite),
        "failures": len(suite.findall("*/failure")),
        "skipped": len(suite.findall("*/skipped")),
        "errors": 0,
        "time": 0,
    }
    for name, count in counts.items():
        suite.set(name, str(count))
    suites = ElementTree.Element("testsuites", {**suite.attrib, "name": SUITE})
    suites.append(suite)
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"

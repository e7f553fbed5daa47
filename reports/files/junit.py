"""Two compared runs as JUnit XML: one test case a variant and input set, so that a CI system can list and gate them."""

from __future__ import annotations

from xml.etree import ElementTree

from isobatch.pipeline.tools.two_runs.records import Change, RunComparison, SetCompared
from isobatch.reports.escape import clean

SUITE = "isobatch compare"
_RUN = "run"


def junit_xml(found: RunComparison) -> bytes:
    """The XML, UTF-8. A regression is a failure; what cannot be said is skipped, with the reason.

    A regression of a variant as a whole (its status, say) fails the variant's own case ``all inputs``; one of the run
    as a whole the case ``run``. Control characters, which XML has no way to write, are replaced.
    """
    suite = ElementTree.Element("testsuite", name=SUITE)
    for one in found.sets:
        mine = [change for change in found.regressions if (change.variant, change.inputs) == (one.variant, one.inputs)]
        _case(suite, one.variant, one.inputs, mine, one)
    whole = [change for change in found.regressions if change.inputs is None]
    for variant in dict.fromkeys(change.variant for change in whole if change.variant):
        _case(suite, variant, "all inputs", [change for change in whole if change.variant == variant])
    _case(suite, _RUN, "policy", [change for change in whole if change.variant is None])
    counts = {
        "tests": len(suite),
        "failures": len(suite.findall("*/failure")),
        "skipped": len(suite.findall("*/skipped")),
    }
    for name, count in (counts | {"errors": 0}).items():
        suite.set(name, str(count))
    suite.set("time", "0")
    suites = ElementTree.Element("testsuites", {**suite.attrib, "name": SUITE})
    suites.append(suite)
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(
    suite: ElementTree.Element, variant: str, name: str, worse: list[Change], compared: SetCompared | None = None
) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=clean(variant), name=clean(name), time="0")
    if worse:
        text = clean("; ".join(f"{one.what}: {one.a} -> {one.b}" for one in worse))
        failure = ElementTree.SubElement(case, "failure", message=text, type="regression")
        failure.text = "\n".join(clean(one.note) for one in worse if one.note) or text
    elif compared and not compared.n_outputs and compared.verdict_b is None:
        why = "; ".join(compared.notes) or "run B has no outputs of it"
        ElementTree.SubElement(case, "skipped", message=clean(why))
    if compared:
        ElementTree.SubElement(case, "system-out").text = clean(_said(compared))


def _said(one: SetCompared) -> str:
    bytes_ = f"{one.n_equal} of {one.n_outputs} outputs have the same bytes"
    apart = f"largest |difference| {one.apart.max_abs:.3g} at N = {one.apart.batch_size}" if one.apart else ""
    return "; ".join(part for part in (bytes_, apart, *one.notes) if part)

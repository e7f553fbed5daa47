"""JUnit XML: test cases that a CI system can list and gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.records.study import Recommendation, Study, VariantResult
from isobatch.pipeline.records.wording import together
from isobatch.pipeline.tools.check.records import CheckReport, VariantChecked
from isobatch.pipeline.tools.two_runs.records import RunChange, RunComparison, SetCompared
from isobatch.reports.escape import clean


@dataclass(frozen=True)
class JUnitFailure:
    """Why a case fails, in short, of which kind, and in full."""

    message: str
    kind: str
    text: str | None = None


@dataclass(frozen=True)
class JUnitCase:
    """A test case. It fails by its ``failure``, is skipped for the reason ``skipped``, else it passes."""

    classname: str
    name: str
    failure: JUnitFailure | None = None
    skipped: str | None = None
    said: str | None = None


def junit_xml(suite: str, cases: Sequence[JUnitCase]) -> bytes:
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


def _add(suite: ElementTree.Element, test_case: JUnitCase) -> None:
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


def check_junit(report: CheckReport, said: dict[str, str]) -> bytes:
    """The XML, UTF-8. Not batch-invariant is a failure; what could not be verified is skipped, with the reason.

    ``said``: by variant its lines of the screen.
    """
    return junit_xml(
        "isobatch check", [_checked(report.network, variant, said[variant.variant]) for variant in report.variants]
    )


def _checked(network: str, checked: VariantChecked, said: str) -> JUnitCase:
    message = ": ".join(part for part in (checked.verdict or checked.status, checked.reason) if part)
    failure = JUnitFailure(message, str(checked.verdict)) if checked.exit_code == Exit.NOT_MET else None
    return JUnitCase(network, checked.variant, failure, message if checked.exit_code == Exit.PARTIAL else None, said)


def comparison_junit(comparison: RunComparison) -> bytes:
    """The XML, UTF-8. A regression is a failure; what cannot be said is skipped, with the reason.

    A regression of a variant as a whole (its status, say) fails the variant's own case ``all inputs``, one of the run
    as a whole the case ``run``, and one on a set that was not compared a case of its own: none is left out.
    """
    worse = together(((change.variant, change.inputs), change) for change in comparison.regressions)
    cases = [_compared(p.variant, p.inputs, worse.pop((p.variant, p.inputs), []), p) for p in comparison.sets]
    policy = _compared("run", "policy", worse.pop((None, None), []))
    cases += [_compared(variant or "run", inputs or "all inputs", of) for (variant, inputs), of in worse.items()]
    return junit_xml("isobatch compare", [*cases, policy])


def _compared(variant: str, name: str, worse: list[RunChange], compared: SetCompared | None = None) -> JUnitCase:
    failure, skipped = None, None
    if worse:
        text = "; ".join(f"{change.what}: {change.a} -> {change.b}" for change in worse)
        failure = JUnitFailure(text, "regression", "\n".join(change.note for change in worse if change.note) or text)
    elif compared and not compared.n_outputs and compared.verdict_b is None:
        skipped = "; ".join(compared.notes) or "run B has no outputs of it"
    return JUnitCase(variant, name, failure, skipped, _said(compared) if compared else None)


def _said(compared: SetCompared) -> str:
    bytes_, far = f"{compared.n_equal} of {compared.n_outputs} outputs have the same bytes", compared.apart
    apart = f"largest |difference| {far.max_abs:.3g} at N = {far.batch_size}" if far else ""
    return "; ".join(part for part in (bytes_, apart, *compared.notes) if part)


def study_junit(study: Study) -> bytes:
    """The XML, UTF-8. The case ``policy`` fails where nothing meets the policy, as the exit code does.

    A variant's own cases say its verdicts and do not fail by them: not every variant has to be fit. They are skipped
    where it has none, with the reason.
    """
    cases = [case for variant in study.variants if variant.role == "candidate" for case in _cases(variant)]
    return junit_xml("isobatch study", [*cases, _policy(study.recommendation)])


def _cases(variant: VariantResult) -> list[JUnitCase]:
    if not variant.by_inputs:
        return [JUnitCase(variant.name, "all inputs", skipped=f"{variant.status}: {variant.reason or 'no verdict'}")]
    return [
        JUnitCase(variant.name, verdict.inputs, said=f"{verdict.verdict}: {verdict.decided_by.why}")
        for verdict in variant.by_inputs
    ]


def _policy(decided: Recommendation | None) -> JUnitCase:
    if decided is None:
        return JUnitCase("run", "policy", skipped="nothing was decided")
    because = "\n".join(decided.because)
    if decided.chosen is None:
        failure = JUnitFailure(decided.withheld or describe(decided.policy), "not-met", because)
        return JUnitCase("run", "policy", failure)
    return JUnitCase("run", "policy", said=f"{decided.chosen}\n{because}")

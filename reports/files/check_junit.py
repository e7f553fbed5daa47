"""A check as JUnit XML: one test case a variant."""

from __future__ import annotations

from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.tools.check.records import CheckReport, VariantChecked
from isobatch.reports.files.junit import Case, Failure, junit_xml

SUITE = "isobatch check"


def check_junit(report: CheckReport, said: dict[str, str]) -> bytes:
    """The XML, UTF-8. Not batch-invariant is a failure; what could not be verified is skipped, with the reason.

    ``said``: by variant its lines of the screen.
    """
    return junit_xml(SUITE, [_case(report.network, variant, said[variant.variant]) for variant in report.variants])


def _case(network: str, checked: VariantChecked, said: str) -> Case:
    message = ": ".join(part for part in (checked.verdict or checked.status, checked.reason) if part)
    failure = Failure(message, str(checked.verdict)) if checked.exit_code == Exit.NOT_MET else None
    return Case(network, checked.variant, failure, message if checked.exit_code == Exit.PARTIAL else None, said)

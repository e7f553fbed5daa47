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
    return junit_xml(SUITE, [_case(report.network, one, said[one.variant]) for one in report.variants])


def _case(network: str, one: VariantChecked, said: str) -> Case:
    message = ": ".join(part for part in (one.verdict or one.status, one.reason) if part)
    failure = Failure(message, str(one.verdict)) if one.exit_code == Exit.NOT_MET else None
    return Case(network, one.variant, failure, message if one.exit_code == Exit.PARTIAL else None, said)

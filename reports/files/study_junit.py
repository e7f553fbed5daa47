"""A study as JUnit XML: one test case a variant and input set, and one for the policy."""

from __future__ import annotations

from isobatch.pipeline.decide.policy import describe
from isobatch.pipeline.records.study import Recommendation, Study, VariantResult
from isobatch.reports.files.junit import Case, Failure, junit_xml

SUITE = "isobatch study"


def study_junit(study: Study) -> bytes:
    """The XML, UTF-8. The case ``policy`` fails where nothing meets the policy, as the exit code does.

    A variant's own cases say its verdicts and do not fail by them: not every variant has to be fit. They are skipped
    where it has none, with the reason.
    """
    cases = [case for variant in study.variants if variant.role == "candidate" for case in _cases(variant)]
    return junit_xml(SUITE, [*cases, _policy(study.recommendation)])


def _cases(variant: VariantResult) -> list[Case]:
    if not variant.by_inputs:
        return [Case(variant.name, "all inputs", skipped=f"{variant.status}: {variant.reason or 'no verdict'}")]
    return [
        Case(variant.name, verdict.inputs, said=f"{verdict.verdict}: {verdict.decided_by.why}")
        for verdict in variant.by_inputs
    ]


def _policy(decided: Recommendation | None) -> Case:
    if decided is None:
        return Case("run", "policy", skipped="nothing was decided")
    because = "\n".join(decided.because)
    if decided.chosen is None:
        return Case("run", "policy", Failure(decided.withheld or describe(decided.policy), "not-met", because))
    return Case("run", "policy", said=f"{decided.chosen}\n{because}")

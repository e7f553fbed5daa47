"""Two compared runs as JUnit XML: one test case a variant and input set."""

from __future__ import annotations

from isobatch.pipeline.tools.two_runs.records import Change, RunComparison, SetCompared
from isobatch.reports.files.junit import Case, Failure, junit_xml

SUITE = "isobatch compare"
_RUN = "run"


def comparison_junit(comparison: RunComparison) -> bytes:
    """The XML, UTF-8. A regression is a failure; what cannot be said is skipped, with the reason.

    A regression of a variant as a whole (its status, say) fails the variant's own case ``all inputs``; one of the run
    as a whole the case ``run``.
    """
    cases = []
    for pair in comparison.sets:
        mine = [
            change
            for change in comparison.regressions
            if (change.variant, change.inputs) == (pair.variant, pair.inputs)
        ]
        cases.append(_case(pair.variant, pair.inputs, mine, pair))
    whole = [change for change in comparison.regressions if change.inputs is None]
    for variant in dict.fromkeys(change.variant for change in whole if change.variant):
        cases.append(_case(variant, "all inputs", [change for change in whole if change.variant == variant]))
    cases.append(_case(_RUN, "policy", [change for change in whole if change.variant is None]))
    return junit_xml(SUITE, cases)


def _case(variant: str, name: str, worse: list[Change], compared: SetCompared | None = None) -> Case:
    failure, skipped = None, None
    if worse:
        text = "; ".join(f"{change.what}: {change.a} -> {change.b}" for change in worse)
        failure = Failure(text, "regression", "\n".join(change.note for change in worse if change.note) or text)
    elif compared and not compared.n_outputs and compared.verdict_b is None:
        skipped = "; ".join(compared.notes) or "run B has no outputs of it"
    return Case(variant, name, failure, skipped, _said(compared) if compared else None)


def _said(compared: SetCompared) -> str:
    bytes_, far = f"{compared.n_equal} of {compared.n_outputs} outputs have the same bytes", compared.apart
    apart = f"largest |difference| {far.max_abs:.3g} at N = {far.batch_size}" if far else ""
    return "; ".join(part for part in (bytes_, apart, *compared.notes) if part)

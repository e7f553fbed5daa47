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
        text = "; ".join(f"{one.what}: {one.a} -> {one.b}" for one in worse)
        failure = Failure(text, "regression", "\n".join(one.note for one in worse if one.note) or text)
    elif compared and not compared.n_outputs and compared.verdict_b is None:
        skipped = "; ".join(compared.notes) or "run B has no outputs of it"
    return Case(variant, name, failure, skipped, _said(compared) if compared else None)


def _said(one: SetCompared) -> str:
    bytes_ = f"{one.n_equal} of {one.n_outputs} outputs have the same bytes"
    apart = f"largest |difference| {one.apart.max_abs:.3g} at N = {one.apart.batch_size}" if one.apart else ""
    return "; ".join(part for part in (bytes_, apart, *one.notes) if part)

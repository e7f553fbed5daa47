"""Rounding, but not by two plain orders of addition: another algorithm, or products that are rounded or not."""

from isobatch.models.spec.interventions import Widened
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._orders import Orders, can_be_probed, orders
from isobatch.pipeline.explain.causes._wider_type import widened
from isobatch.pipeline.records.study import CauseVerdict


def probe(subject: Subject) -> Finding:
    """Read what float64 and the order probe say, and compare how both calls round their products."""
    wide = widened(subject, "float64")
    if not wide.gone:
        verdict: CauseVerdict = "inconclusive" if wide.gone is None else "refuted"
        return Finding(verdict, wide.text)
    probed = orders(subject)
    if probed.two_trees:
        evidence = f"{wide.text} Two different trees of additions explain it."
        return Finding("refuted", evidence, trees=probed.words)
    other, why = _other_arithmetic(probed)
    evidence = f"{wide.text} {why} {probed.proof()}"
    verdict = "supported" if other else "inconclusive"
    return Finding(verdict, evidence, trees=probed.words)


def _other_arithmetic(probed: Orders) -> tuple[bool, str]:
    """Whether the two calls are shown to compute differently, and how that shows."""
    if not probed.asked:
        return False, "Its order of addition could not be asked for."
    if not probed.one_tree:
        return True, "At one N at least the kernel does not add in the order of a plain tree."
    first, second = probed.replays.values()
    if first.how != second.how:
        return True, f"Both add in the same order, one by {first.how}, the other by {second.how}."
    return False, "Both add in the same order and in the same way at every output sampled."


CAUSE = Cause(
    role="mechanism",
    order=60,
    question="Is it rounding, although there are no two plain trees of additions that differ?",
    if_supported=(
        "float64 removes the difference, and the kernel has no plain tree of additions, or the same one at "
        "both N but rounds in other places"
    ),
    if_refuted="float64 does not remove the difference, or two different trees explain it",
    # layers that sum products with a weight, in floating point
    applies_to=lambda subject: isinstance(subject.runner, Widened) and can_be_probed(subject),
    probe=probe,
)

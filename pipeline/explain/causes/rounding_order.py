"""Two orders of addition: the classic. Revealed by probing the kernel, proved by replaying what was revealed."""

from isobatch.models.spec.interventions import Widened
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._orders import can_be_probed, orders
from isobatch.pipeline.explain.causes._wider_type import widened
from isobatch.pipeline.records.study import CauseVerdict


def probe(subject: Subject) -> Finding:
    """Compute in float64, reveal both trees, and replay them in exact arithmetic."""
    wide = widened(subject, "float64")
    if wide.gone is False:
        return Finding("refuted", f"{wide.text} It is not a matter of rounding.")
    probed = orders(subject)
    said = "the trees differ" if probed.two_trees else "both calls add in the same order"
    if not probed.two_trees and not probed.one_tree:
        said = "there are no two plain trees to compare" if probed.asked else "it could not be told"
    evidence = f"{wide.text} Asked of output element {list(probed.element)}: {said}. {probed.proof()}"
    verdict: CauseVerdict = "inconclusive" if probed.two_trees or wide.gone is None or not probed.asked else "refuted"
    if probed.two_trees and wide.gone:
        verdict = "supported"
    return Finding(verdict, evidence, trees=probed.words)


CAUSE = Cause(
    role="mechanism",
    order=40,
    question="Does the layer add the same products in another order at N = k, and does only rounding make that show?",
    if_supported=("in float64 the difference is gone, and the kernel's trees of additions at N = 1 and N = k differ"),
    if_refuted="either float64 does not remove the difference, or both calls add in one and the same order",
    # layers that sum products with a weight, in floating point
    applies_to=lambda subject: isinstance(subject.runner, Widened) and can_be_probed(subject),
    probe=probe,
)

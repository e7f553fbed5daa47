"""Whether an image's row depends on the values beside it, in any way but a common scale."""

from isobatch.pipeline.explain.causes import Cause, Finding, Subject, not_repeatable
from isobatch.pipeline.explain.causes._influence import influence
from isobatch.pipeline.records.wording import counted


def probe(subject: Subject) -> Finding:
    """Replace the neighbours, by search too, and watch the row of the image that differs most. Before that the control:
    the same call twice gives the same bytes, for else a change says nothing about neighbours.
    """
    if unsteady := not_repeatable.differing(subject):
        return Finding(
            "inconclusive",
            f"The same call, made again, gave other bytes in {counted(unsteady, 'element')}: nothing follows.",
        )
    effect = influence(subject)
    if effect.moves:
        control = "The same call, made twice, gave the same bytes."
        return Finding("supported", f"{control} {effect.text()}")
    text = (
        f"Beside {effect.tried} sets of neighbours (zeros, copies of itself, random ones, outliers, a search) image "
        f"{effect.victim}'s row at N = {effect.batch} kept every bit."
    )
    return Finding("refuted", text)


CAUSE = Cause(
    role="mechanism",
    order=80,
    question="At one N and one place in the batch, does an image's row change with its neighbours' values?",
    if_supported="what else is in the batch reaches this image's row",
    if_refuted="whatever stands beside it, at a fixed N and place the row keeps its bytes",
    # where these rows show the difference
    applies_to=lambda subject: subject.batch > 1 and bool(subject.differing.any()),
    probe=probe,
)

"""Whether control flow looks at the batch: other calls are made for N = k than for N = 1."""

from isobatch.models.spec.runner import Branching
from isobatch.pipeline.evidence.rows import rows_at
from isobatch.pipeline.explain.causes import Cause, Finding, Subject


def probe(subject: Subject) -> Finding:
    """Compare the calls made for all rows with those made for the first alone, and with those for copies of it."""
    runner: Branching = subject.runner
    said = runner.other_calls(subject.layer.name, subject.rows(0, subject.batch))
    if not said:
        return Finding("refuted", f"One image and {subject.batch} are given the same calls.")
    copies = rows_at(subject.rows(0, subject.batch), [0] * subject.batch, subject.batch)
    if not runner.other_calls(subject.layer.name, copies):
        text = (
            f"{said[:1].upper()}{said[1:]}, and {subject.batch} copies of one image are given its own calls: not N "
            "decides, but what else is in the batch."
        )
        return Finding("refuted", text)
    for n in range(subject.batch - 1, 1, -1):
        if not runner.other_calls(subject.layer.name, subject.rows(0, n)):
            return Finding("supported", f"From N = {n + 1} on: {said}.")
    return Finding("supported", f"From N = 2 on: {said}.")


CAUSE = Cause(
    role="mechanism",
    order=6,
    question="Does this module make other calls for N = k than for N = 1?",
    if_supported="its control flow looks at the batch, and from there on other operations give the image's row",
    if_refuted="it makes the same calls for every N, or others only for other neighbours",
    # where these rows show the difference, and the runner can follow control flow
    applies_to=lambda subject: (
        isinstance(subject.runner, Branching) and subject.batch > 1 and bool(subject.differing.any())
    ),
    probe=probe,
)

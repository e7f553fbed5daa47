"""Whether the activations' scale is taken from the whole batch, so that a neighbour's range moves every row.

The scale is frozen without touching the kernel: a row more, whose values reach the smallest and the largest of the
batch, gives every call the same range, however many rows it has.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.rows import rows_at, same_bits, with_row
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._influence import influence, most_differing

_OUTLIER = 16


def applies_to(subject: Subject) -> bool:
    """Where these rows show the difference, and are floats of which a range can be taken."""
    if subject.batch < 2 or not subject.differing.any():
        return False
    return any(_has_range(part, subject.batch) for part in subject.rows(0, subject.batch))


def probe(subject: Subject) -> Finding:
    """First whether a neighbour's range moves a row at a fixed N at all; then freeze the range and compare."""
    rows, batch = subject.rows(0, subject.batch), subject.batch
    moved = _moved_by_an_outlier(subject, rows)
    if not moved:
        return Finding("refuted", f"A neighbour {_OUTLIER} times as large changed no bit of a row at N = {batch}.")
    pinned = tuple(_pinned(part, batch) for part in rows)
    together = subject.replay(pinned)[:batch]
    frozen = [subject.replay(rows_at(pinned, [i, batch], batch + 1))[:1] for i in range(batch)]
    alone = np.concatenate(frozen)
    left = int((~same_bits(alone, together)).sum())
    before, size = int(subject.differing.sum()), subject.differing.size
    inside = _moved_within_range(subject, pinned)
    text = (
        f"With one range for all calls (a row more that holds the batch's smallest and largest value) {left} of {size} "
        f"elements differ between one image and N = {batch}, against {before} before; a neighbour {_OUTLIER} times as "
        f"large changes {moved} elements of a row at the same N, other neighbours within the range {inside}."
    )
    if left == 0 and inside == 0:
        worst = f" {influence(subject).text()}" if subject.leading else ""
        return Finding("supported", text + worst)
    verdict: Any = "inconclusive" if left < before and inside == 0 else "refuted"
    return Finding(verdict, text)


def _has_range(part: NDArray[Any], rows: int) -> bool:
    """Whether this is a tensor of floats with a batch axis, and room in a row for two values."""
    floats = part.ndim > 1 and part.dtype.kind not in "iub"
    return floats and len(part) == rows and part[:1].size > 1


def _pinned(part: NDArray[Any], batch: int) -> NDArray[Any]:
    """These rows and one more, of zeros but for the smallest and the largest value of all of them."""
    if part.ndim == 0 or len(part) != batch:
        return part
    pin = np.zeros_like(part[:1])
    if _has_range(part, batch):
        pin.flat[:2] = part.min(), part.max()
    return np.concatenate([part, pin])


def _moved_by_an_outlier(subject: Subject, rows: Rows) -> int:
    """Elements of the most differing row that change when its neighbours grow, at the same N."""
    victim = most_differing(subject)
    with np.errstate(over="ignore"):
        grown = tuple(part * part.dtype.type(_OUTLIER) if _has_range(part, subject.batch) else part for part in rows)
    row = subject.replay(with_row(grown, rows, victim))[victim]
    return int((~same_bits(row, subject.together[victim])).sum())


def _moved_within_range(subject: Subject, pinned: Rows) -> int:
    """Elements of that row that change when its neighbours turn to zero while the pin keeps the range."""
    victim, emptied = most_differing(subject), []
    for part in pinned:
        if _has_range(part, subject.batch + 1):
            part = part.copy()
            part[[i for i in range(subject.batch) if i != victim]] = 0
        emptied.append(part)
    return int((~same_bits(subject.replay(tuple(emptied))[victim], subject.replay(pinned)[victim])).sum())


CAUSE = Cause(
    role="mechanism",
    order=10,
    question="Is the difference gone once every call has the same range of activations?",
    if_supported=("the scale comes from the whole batch: frozen, N makes no difference; a neighbour's range moves it"),
    if_refuted="with the range held fixed the difference is still there, or no neighbour's range moves the row",
    applies_to=applies_to,
    probe=probe,
)

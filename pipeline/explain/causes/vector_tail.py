"""The last elements of a call, too few for a whole vector, are computed by other code than all others."""

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import rows_at
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.explain.causes._orders import can_be_probed
from isobatch.pipeline.records.wording import counted, listed

_WIDTHS = (2, 4, 8, 16, 32, 64)  # elements
_CALLS = 9  # lengths tried, in rows
_MOST = 2**22  # output elements of the longest call


def probe(subject: Subject) -> Finding:
    """Replay the rows in calls of every length, and look for a width of which the tail sorts all values."""
    if not subject.differing.any():
        return Finding("inconclusive", "These rows show no difference.")
    length = subject.together[0].size
    counts = [n for n in dict.fromkeys([*range(1, _CALLS), subject.batch]) if n <= subject.batch or n * length <= _MOST]
    calls = {n: _replayed(subject, n) for n in counts}
    fitting = [width for width in _WIDTHS if _sorted_by_tail(calls, subject.batch, length, width)]
    lengths = f"calls of {listed([str(n) for n in counts])} rows of {counted(length, 'element')}"
    differing = int(subject.differing.sum())
    if not fitting:
        return Finding(
            "refuted", f"In {lengths} no vector width of {listed(map(str, _WIDTHS))} sorts the values of the elements."
        )
    width = fitting[0]
    evidence = (
        f"All {differing} differing of {subject.differing.size} elements stand, at one N only, among the last elements "
        f"of the call that fill no vector of {width}. In {lengths} every element kept one value inside of whole "
        f"vectors and one outside; where the call is padded to a multiple of {width} elements, no difference is left."
    )
    return Finding("supported", evidence)


def _replayed(subject: Subject, count: int) -> NDArray[np.unsignedinteger]:
    """The bits [count, length] of the subject's rows in one call of ``count``; after the last comes the first again."""
    order = np.arange(count) % subject.batch
    outputs = subject.replay(rows_at(subject.rows(0, subject.batch), order, subject.batch))
    return bits(outputs).reshape(count, -1)


def _sorted_by_tail(calls: dict[int, NDArray[np.unsignedinteger]], batch: int, length: int, width: int) -> bool:
    """Whether every element has one value in whole vectors and one in tails, and some have two."""
    value = np.zeros((2, batch, length), next(iter(calls.values())).dtype)
    known = np.zeros((2, batch, length), np.bool_)
    for count, call in calls.items():
        tail = (np.arange(count * length) >= count * length // width * width).reshape(count, length)
        for place in range(count):
            row = place % batch
            for side in (0, 1):
                here = tail[place] == side
                seen = here & known[side, row]
                if (value[side, row][seen] != call[place][seen]).any():
                    return False
                value[side, row][here] = call[place][here]
                known[side, row] |= here
    return bool((known.all(axis=0) & (value[0] != value[1])).any())


CAUSE = Cause(
    role="mechanism",
    order=30,
    question=(
        "Does an element's value depend only on whether it stands in the part of the call that fills no whole vector?"
    ),
    if_supported=(
        "moved in and out of the tail by calls of other lengths, every element has one value in whole vectors"
        " and one in the tail"
    ),
    if_refuted="no vector width sorts the values that the elements take",
    # floating-point layers that are not sums of products with a weight
    applies_to=lambda subject: subject.together.dtype.kind not in "iu" and not can_be_probed(subject),
    probe=probe,
)

"""Whether the batch gives an image's row to another image."""

import numpy as np

from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.explain.causes import Cause, Finding, Subject
from isobatch.pipeline.records.wording import listed

_SHOWN = 4


def probe(subject: Subject) -> Finding:
    """Look for every differing row among the rows that the other images have alone."""
    alone = bits(subject.alone).reshape(subject.batch, -1)
    together = bits(subject.together).reshape(subject.batch, -1)
    wrong = np.flatnonzero((alone != together).any(axis=1))
    owners = {int(i): np.flatnonzero((alone == together[i]).all(axis=1)) for i in wrong}
    strangers = {i: int(rows[0]) for i, rows in owners.items() if len(rows)}
    share = f"{len(strangers)} of the {len(wrong)} rows that differ at N = {subject.batch}"
    if len(strangers) < len(wrong):
        text = f"{share} are, in all their {alone.shape[1]} elements, what another image gives alone."
        return Finding("inconclusive" if strangers else "refuted", text)
    if len(set(strangers.values())) < len(strangers) or (set(strangers.values()) - strangers.keys()):
        return Finding(
            "refuted",
            f"{share} are what another image gives alone, but rows do not change places: several images get one row.",
        )
    shown = listed([f"row {i} is image {j}'s" for i, j in list(strangers.items())[:_SHOWN]])
    return Finding(
        "supported",
        f"{share} are, byte for byte in {alone.shape[1]} elements, what another image gives alone: {shown}.",
    )


CAUSE = Cause(
    role="mechanism",
    order=5,
    question="Is the row that an image gets in the batch the row that another image gets alone?",
    if_supported="rows change places, and each, given back to its image, has the bytes of the single image",
    if_refuted="the differing rows belong to no other image of the batch",
    # where these rows show the difference
    applies_to=lambda subject: subject.batch > 1 and bool(subject.differing.any()),
    probe=probe,
)

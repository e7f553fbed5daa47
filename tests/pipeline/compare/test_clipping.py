import numpy as np
import pytest

from isobatch.pipeline.compare.clipping import clip_notes, clipping
from isobatch.pipeline.evidence.evidence import Evidence, Pass

PASS = Pass("singles", 1, 0, 1)


def seen(lost: int, of: int) -> list[Evidence]:
    rows = {PASS.id: (np.array([0]), np.zeros((1, 2), np.float32))}
    return [Evidence("v", "images", 0, (PASS,), rows.__getitem__, {}, {}, {"fc": (lost, of)}, 0, {})]


@pytest.mark.parametrize(
    ("lost", "of", "invalid", "noted"),
    [
        (1, 56, False, True),  # one value of a small head: 1.8 %, and no evidence
        (19, 1000, False, True),  # too few clipped
        (50, 999, False, True),  # too few seen
        (20, 1900, False, True),  # 1.05 %, which may be 1 %
        (200, 10_000, True, False),
        (100, 10_000, False, False),  # 1 % is the limit
    ],
)
def test_a_layer_clips_only_by_enough_of_enough(lost: int, of: int, invalid: bool, noted: bool) -> None:
    assert (clipping(seen(lost, of)) is not None) == invalid
    notes = clip_notes(seen(lost, of))
    assert bool(notes) == noted
    if noted:
        assert f"of {of:,} activations at the clip limits" in notes[0]

import hashlib

import numpy as np
import pytest

from isobatch.pipeline.compare.batch_classes import batch_classes, finer_classes, fingerprints, rows_seen
from isobatch.pipeline.evidence.evidence import Pass
from tests import fakes
from tests.fakes import CONDITION, faithful, run, table

ROWS = table(8)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ({}, [[1, 2, 4, 8]]),
        ({2: 0.5, 4: 0.5, 8: 0.5}, [[1], [2, 4, 8]]),
        ({2: 0.5, 4: 0.5, 8: 0.25}, [[1], [2, 4], [8]]),
        ({4: 0.5}, [[1, 2, 8], [4]]),
    ],
)
def test_sizes_with_equal_bytes_share_a_class(noise: dict[int, float], expected: list[list[int]]) -> None:
    evidence = run(fakes.noise_by_size(ROWS, noise), 8, (2, 4, 8))
    assert batch_classes(evidence, CONDITION).classes == expected


def test_in_a_class_every_two_agree_where_agreement_does_not_carry_over() -> None:
    """N = 2, seen on images 4 and 5 only, agrees there with both 1 and 4, which differ on image 0."""
    passes = [Pass("singles", 1, 0, 8), Pass("batched", 4, 0, 8), Pass("batched", 2, 4, 6)]
    evidence = run(fakes.noise_by_size(ROWS, {4: 0.5}, images=[0]), 8, passes=passes)
    assert batch_classes(evidence, CONDITION).classes == [[1, 2], [4]]


def test_the_sizes_seen_on_most_images_are_placed_first() -> None:
    """3, seen on images 5 to 7, agrees with 2 on image 5 and with 4 on all three; 2 and 4 differ on image 4."""
    passes = [Pass("singles", 1, 0, 8), Pass("batched", 2, 4, 6), Pass("batched", 3, 5, 8), Pass("batched", 4, 0, 8)]

    def network(batch: list[int], _: int) -> np.ndarray:
        out = ROWS[batch] + np.float32(0.5 * (len(batch) > 1))
        if batch == [4, 5]:
            out[0] += np.float32(0.25)
        return out

    assert batch_classes(run(network, 8, passes=passes), CONDITION).classes == [[1], [2], [3, 4]]


def test_sizes_that_share_no_image_are_not_called_equal() -> None:
    passes = [Pass("singles", 1, 0, 8), Pass("batched", 4, 0, 4), Pass("batched", 2, 6, 8)]
    evidence = run(fakes.noise_by_size(ROWS, {2: 0.5, 4: 0.5}), 8, passes=passes)
    assert batch_classes(evidence, CONDITION).classes == [[1], [2], [4]]


def test_sizes_that_share_no_image_are_equal_where_each_has_the_bytes_of_the_singles() -> None:
    passes = [Pass("singles", 1, 0, 8), Pass("batched", 4, 0, 4), Pass("batched", 2, 6, 8)]
    assert batch_classes(run(faithful(ROWS), 8, passes=passes), CONDITION).classes == [[1, 2, 4]]
    evidence = run(fakes.noise_by_size(ROWS, {4: 0.5}), 8, passes=passes)
    assert batch_classes(evidence, CONDITION).classes == [[1, 2], [4]]


def test_a_zero_of_another_sign_is_another_class() -> None:
    rows = np.where(np.arange(7) == 3, np.float32(0.0), ROWS)
    evidence = run(lambda batch, _: np.where(len(batch) > 1, -1, 1) * 0 * rows[batch] + rows[batch], 8, (2,))
    assert batch_classes(evidence, CONDITION).classes == [[1, 2]]  # 0.0 + -0.0 is 0.0: the control
    flipped = np.where(np.arange(7) == 3, np.float32(-0.0), rows)
    evidence = run(lambda batch, _: (flipped if len(batch) > 1 else rows)[batch], 8, (2,))
    assert batch_classes(evidence, CONDITION).classes == [[1], [2]]


def test_fingerprints_hash_the_rows_in_image_order() -> None:
    passes = [Pass("singles", 1, 0, 8), Pass("batched", 2, 4, 8), Pass("batched", 2, 0, 4)]
    marks = fingerprints(run(fakes.faithful(ROWS), 8, passes=passes), CONDITION)
    expected = hashlib.sha256(ROWS[:8].tobytes()).hexdigest()
    assert [(mark.batch_size, mark.sha256) for mark in marks] == [(1, expected), (2, expected)]
    moved = fingerprints(run(fakes.one_ulp_when_batched(ROWS), 8, passes=passes), CONDITION)
    assert moved[0].sha256 == expected != moved[1].sha256


def test_classes_with_more_n_are_taken_where_they_say_the_same_of_those_tried() -> None:
    more = [[1], [2, 3], [4, 5, 6]]
    assert finer_classes([[1], [2], [4]], more) == more
    assert finer_classes([[1], [2, 4]], more) == [[1], [2, 4]]
    assert finer_classes([[1, 2], [4]], more) == [[1, 2], [4]]


def test_rows_of_a_batch_are_read_where_not_all_of_its_images_were_run_alone() -> None:
    planned = (Pass("singles", 1, 0, 2), Pass("batched", 4, 0, 4))
    evidence = run(faithful(rows := table(4)), 4, passes=planned, round_=1)
    images, seen = rows_seen(evidence, 4)
    assert images.tolist() == [0, 1, 2, 3] and seen.tobytes() == rows[:4].tobytes()

"""Accuracy by batch size: tables of small cases, and a plain loop over images beside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.compare.accuracy_by_batch_size import (
    batch_accuracy,
    content_numbers,
    decide_dependence,
    worst_dependence,
)
from isobatch.pipeline.compare.statistics import change_interval, rate_upper
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.records.study import Accuracy, AccuracyAtN, BatchAccuracy, Dependence
from tests import fakes
from tests.fakes import CONDITION
from tests.pipeline.results import result

ROWS = fakes.table(7)
LABELS = np.arange(7)
ALONE = np.arange(7)


def found(evidence: Evidence, margin: float | None = None, contents: NDArray[np.int64] = ALONE) -> BatchAccuracy:
    accuracy = batch_accuracy(evidence, CONDITION, LABELS, contents, margin)
    assert accuracy is not None
    return accuracy


@pytest.mark.parametrize(
    ("network", "depends", "changed"),
    [
        (fakes.faithful(ROWS), "undecided", 0),  # of seven images: too few to say
        (fakes.one_ulp_when_batched(ROWS), "undecided", 0),  # other bytes, the same answers
        (fakes.noise_by_size(ROWS, {4: 9.0}, images=[2]), "undecided", 1),
        (fakes.noise_by_size(ROWS, {2: 9.0, 4: 9.0}, images=[2, 4]), "undecided", 2),
        (fakes.noise_by_size(ROWS, {3: 9.0}, images=[5]), "undecided", 1),  # only the ragged last batch shows it
        (fakes.swapped_rows(ROWS), "undecided", 6),
        (fakes.neighbour_leak(ROWS), "undecided", 0),  # only beside an outlier: a matter of neighbours, not of N
    ],
)
def test_seven_images_decide_nothing(network: fakes.Network, depends: str, changed: int) -> None:
    accuracy = found(fakes.run(network, 7, (2, 4)), margin=2.0)
    assert (accuracy.depends, accuracy.changed, accuracy.singles.n, accuracy.singles.top1) == (depends, changed, 7, 1.0)
    assert accuracy.changed_upper95 == rate_upper(changed, 7)
    assert [at.batch_size for at in accuracy.at] == [2, 3, 4]


def test_without_a_batch_there_is_nothing_to_say() -> None:
    assert batch_accuracy(fakes.run(fakes.faithful(ROWS), 7, ()), CONDITION, LABELS, ALONE, None) is None


def plainly(evidence: Evidence, labels: NDArray[np.int64], contents: NDArray[np.int64], n: int) -> tuple[int, ...]:
    """(images, changed, only singles right, only batched right, batched right) at one N, image by image."""
    before = {i: int(np.argmax(evidence.singles[i])) for i in range(len(evidence.singles))}
    after: dict[int, int] = {}
    for chosen in evidence.find("batched", n):
        for image, row in zip(chosen.images, evidence.outputs(chosen), strict=True):
            after[image] = int(np.argmax(row))
    counts = [0, 0, 0, 0, 0]
    for content in sorted({int(contents[i]) for i in after}):
        copies = [i for i in after if contents[i] == content]
        image = next((i for i in copies if after[i] != before[i]), copies[0])
        right = before[image] == labels[image], after[image] == labels[image]
        for place, counted in enumerate(
            (True, before[image] != after[image], right == (True, False), right == (False, True), right[1])
        ):
            counts[place] += counted
    return tuple(counts)


@pytest.mark.parametrize("seed", range(20))
def test_the_counts_are_those_of_a_plain_loop(seed: int) -> None:
    draws = np.random.default_rng(seed)
    size = int(draws.integers(3, 20))
    contents = content_numbers(bytes([int(draws.integers(size))]) for _ in range(size))
    rows = fakes.table(size, seed=seed)
    rows[:size] = rows[contents]
    labels = draws.integers(0, 7, size)[contents]
    moved = np.flatnonzero(draws.random(size) < 0.4).tolist()
    evidence = fakes.run(fakes.noise_by_size(rows, {2: 9.0, 3: 0.1, 5: 9.0}, moved), size, (2, 3, 5), probes=False)
    accuracy = batch_accuracy(evidence, CONDITION, labels, contents, None)
    assert accuracy is not None
    for at in accuracy.at:
        images, changed, lost, gained, right = plainly(evidence, labels, contents, at.batch_size)
        assert (at.n, at.changed, at.only_singles_right, at.only_batched_right) == (images, changed, lost, gained)
        assert at.top1 == right / images and at.change == (gained - lost) / images
        assert (at.change_low95, at.change_high95) == change_interval(lost, gained, images)
        assert at.change_low95 <= at.change <= at.change_high95
        assert at.mcnemar_p <= at.mcnemar_holm <= 1
    assert accuracy.changed >= max(at.changed for at in accuracy.at)
    assert accuracy.singles.n == len(set(contents.tolist()))


def test_copies_of_an_image_count_once_and_a_changed_one_stands_for_them() -> None:
    rows = ROWS.copy()
    rows[1] = rows[0]
    contents = content_numbers([b"a", b"a", b"c", b"d", b"e", b"f", b"g"])
    assert contents.tolist() == [0, 0, 2, 3, 4, 5, 6]
    accuracy = found(fakes.run(fakes.noise_by_size(rows, {2: 9.0}, images=[1]), 7, (2,)), contents=contents)
    assert (accuracy.singles.n, accuracy.changed) == (6, 1)


def counted(*discordant: tuple[int, int], n: int = 1000, changed: int | None = None) -> BatchAccuracy:
    """A record with these (lost, gained) at N = 2, 3, ..."""
    at = []
    for size, (lost, gained) in enumerate(discordant, 2):
        low, high = change_interval(lost, gained, n)
        at.append(
            AccuracyAtN(
                batch_size=size,
                n=n,
                top1=0.9,
                changed=lost + gained,
                changed_upper95=rate_upper(lost + gained, n),
                only_singles_right=lost,
                only_batched_right=gained,
                change=(gained - lost) / n,
                change_low95=low,
                change_high95=high,
                mcnemar_p=1.0,
                mcnemar_holm=1.0,
            )
        )
    some = sum(map(sum, discordant)) if changed is None else changed
    singles = Accuracy(top1=0.9, low95=0.88, high95=0.92, n=n)
    return BatchAccuracy(
        inputs="digits", condition=CONDITION, singles=singles, at=at, changed=some, changed_upper95=rate_upper(some, n)
    )


@pytest.mark.parametrize(
    ("record", "margin", "depends"),
    [
        (counted((0, 0)), None, None),
        (counted((0, 0)), 0.0, "undecided"),  # no number of images shows exactly none
        (counted((0, 0)), 0.5, "no"),  # of 1,000 at most 0.3 % change
        (counted((0, 0), n=16), 2.0, "undecided"),  # at most 17 % do
        (counted((0, 0), changed=1), 1.0, "equivalent"),  # a wrong answer became another wrong one
        (counted((0, 0), changed=1), 0.0, "undecided"),
        (counted((2, 1)), None, None),
        (counted((2, 1)), 2.0, "equivalent"),
        (counted((2, 1)), 0.5, "undecided"),
        (counted((2, 1), n=20), 2.0, "undecided"),  # as many discordant, and too few images
        (counted((2, 1), (0, 0), (80, 3)), 2.0, "not-equivalent"),  # one N suffices
        (counted((2, 1), (0, 0), (3, 80)), 2.0, "not-equivalent"),  # a gain beyond the margin is a change too
        (counted((2, 1), (0, 0), (30, 10)), 2.0, "undecided"),
    ],
)
def test_the_decision(record: BatchAccuracy, margin: float | None, depends: Dependence | None) -> None:
    decided = decide_dependence(record, margin)
    assert (decided.depends, decided.margin_points) == (depends, margin)


def test_beyond_the_margin_is_held_to_a_level_corrected_for_the_number_of_n() -> None:
    lost = next(k for k in range(1000) if decide_dependence(counted((k, 0)), 2.0).depends == "not-equivalent")
    alone, among = counted((lost, 0)), counted((lost, 0), *[(0, 0)] * 30)
    assert decide_dependence(alone, 2.0).depends == "not-equivalent"
    assert decide_dependence(among, 2.0).depends == "undecided"


def test_the_worst_of_a_variant_is_its_answer() -> None:
    decided = [decide_dependence(counted(one), 2.0) for one in ((0, 0), (80, 3), (2, 1))]
    worst = worst_dependence(result("v", batch_accuracy=decided))
    assert worst is not None and worst.depends == "not-equivalent"
    assert worst_dependence(result("v")) is None

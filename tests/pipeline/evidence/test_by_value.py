"""The default plan: what it runs, and how surely thin planted faults show in it."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.pipeline.compare import verdict as verdicts
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.evidence.by_value import first_round, second_round
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.parts import cut, passes_within
from isobatch.pipeline.records.study import InputsVerdict
from tests import fakes

SIZES = (2, 3, 4, 8, 16)
SEEDS = range(200)


def test_the_plan_of_sixteen_images() -> None:
    passes = first_round(16, SIZES)
    assert [(p.kind, p.batch_size, p.start, p.stop) for p in passes] == [
        ("singles", 1, 0, 16),
        ("batched", 2, 0, 2),
        ("batched", 2, 8, 10),
        ("batched", 3, 3, 6),
        ("batched", 3, 9, 12),
        ("batched", 4, 0, 4),
        ("batched", 4, 8, 12),
        ("batched", 8, 8, 16),
        ("batched", 16, 0, 16),
        ("position", 4, 0, 4),
        ("neighbours", 4, 0, 4),
        ("copies", 16, 0, 16),
    ]
    assert second_round(16, SIZES) == (Pass("singles", 1, 0, 4), Pass("batched", 16, 0, 16))


def test_it_is_less_than_half_of_all_images_at_every_size() -> None:
    by_value = sum(p.stop - p.start for p in (*first_round(16, SIZES, timed=True), *second_round(16, SIZES)))
    assert by_value == 110  # 240 with --thorough, and 66 more go ahead


@pytest.mark.parametrize("n_images", [*range(1, 40), 100, 511, 1000])
@pytest.mark.parametrize("sizes", [SIZES, (2,), (32,), (2, 4, 8), (5, 7), (1, 64)])
def test_every_image_is_batched_and_every_batch_is_whole(n_images: int, sizes: tuple[int, ...]) -> None:
    passes = first_round(n_images, sizes, timed=True)
    batched = [one_pass for one_pass in passes if one_pass.kind == "batched"]
    if fitting := [n for n in sizes if 1 < n <= n_images]:
        assert {i for one_pass in batched for i in one_pass.images} == set(range(n_images))
        assert set(fitting) <= {one_pass.batch_size for one_pass in batched}
        assert all(
            one_pass.batch_size in {p.batch_size for p in batched} for one_pass in passes if one_pass.kind != "singles"
        )
    for part in cut(n_images, sizes):
        for one in passes_within(passes, *part):
            assert (one.stop - one.start) % one.batch_size == 0
    assert all(0 <= one_pass.start < one_pass.stop <= n_images for one_pass in passes)
    assert max(Counter(one_pass.id for one_pass in passes).values()) == 1
    later = second_round(n_images, sizes)
    assert all(0 <= one_pass.start < one_pass.stop <= n_images for one_pass in later)


def test_where_calls_are_timed_every_size_has_one_behind_its_first() -> None:
    calls = Counter[int]()
    for one_pass in first_round(16, SIZES, timed=True):
        calls[one_pass.batch_size] += (one_pass.stop - one_pass.start) // one_pass.batch_size
    assert all(calls[n] > 1 for n in (1, *SIZES))


def verdict(network: fakes.Network, n_images: int = 16) -> InputsVerdict:
    first = fakes.run(network, n_images, passes=first_round(n_images, SIZES))
    second = fakes.run(network, n_images, passes=second_round(n_images, SIZES), round_=1)
    made = comparisons(first, second, None, fakes.CONDITION)
    set_verdict = verdicts.inputs_verdict([verdicts.Tested(fakes.CONDITION, first, made)], n_images)
    assert set_verdict is not None
    return set_verdict


Rows = NDArray[np.float32]
Fault = Callable[[Rows, list[int], np.random.Generator], None]


def one_size_only(out: Rows, batch: list[int], drawn: np.random.Generator) -> None:
    if len(batch) == drawn.choice(SIZES):
        out[drawn.integers(len(out)), 0] += 1e-6


def one_image(out: Rows, batch: list[int], drawn: np.random.Generator) -> None:
    image = int(drawn.integers(16))
    if len(batch) > 1 and image in batch:
        out[batch.index(image), 3] += 1e-6


def last_row_only(out: Rows, batch: list[int], drawn: np.random.Generator) -> None:
    if len(batch) == drawn.choice(SIZES):
        out[-1, drawn.integers(7)] += 1e-6


def places_from_eight_on(out: Rows, batch: list[int], drawn: np.random.Generator) -> None:
    out[8:, drawn.integers(7)] += 1e-6


LAYER = 1 << 16
"""Elements that an image has in the layer at fault: ResNet50's hold 25,088 to 802,816, and there are 53 of them."""


def one_element_in_a_million(out: Rows, batch: list[int], drawn: np.random.Generator) -> None:
    """Any element of the layer that is another one moves the image's row; which are, the call decides."""
    call = np.random.default_rng([int(drawn.integers(1 << 30)), *(image + 1 for image in batch)])
    out[call.binomial(LAYER, 1e-6, len(out)) > 0, 0] += 1e-6


FAULTS = [one_size_only, one_image, last_row_only, places_from_eight_on, one_element_in_a_million]


@pytest.mark.parametrize("fault", FAULTS)
def test_thin_faults_are_found_in_at_least_95_percent_of_seeds(fault: Fault) -> None:
    rows = fakes.table(16)
    seen = 0
    for seed in SEEDS:

        def network(batch: list[int], _: int, seed: int = seed) -> Rows:
            out: Rows = rows[batch].copy()
            if len(batch) > 1:
                fault(out, batch, np.random.default_rng(seed))
            return out

        seen += verdict(network).verdict != "batch-invariant"
    assert seen >= 0.95 * len(SEEDS)


def test_an_innocent_network_is_called_batch_invariant_and_the_counts_are_told() -> None:
    set_verdict = verdict(fakes.faithful(fakes.table(16)))
    assert set_verdict.verdict == "batch-invariant"
    assert set_verdict.decided_by.why == (
        "All bytes of 16 images are those of their singles at N = 2 to 4, 8 and 16 (8 batched comparisons, 2 repeats)."
    )


def test_copies_tell_the_place_from_the_size() -> None:
    rows = fakes.table(16)

    def by_place(batch: list[int], _: int) -> Rows:
        out: Rows = rows[batch].copy()
        out[8:, 0] += np.float32(1e-3)
        return out

    for network, equal in ((by_place, False), (fakes.noise_by_size(rows, {16: 1e-3}), True)):
        evidence = fakes.run(network, 16, passes=first_round(16, SIZES))
        (made,) = (
            comparison
            for comparison in comparisons(evidence, None, None, fakes.CONDITION)
            if comparison.kind == "copies"
        )
        assert made.bitwise_equal is equal
        assert (made.batch_size, made.n_images, made.condition.neighbours) == (16, 1, "copies")


def test_what_a_second_process_gives_otherwise_is_seen_in_the_part_that_it_repeats() -> None:
    set_verdict = verdict(fakes.unrepeatable(fakes.table(16)))
    assert set_verdict.verdict == "not-repeatable"


def test_rows_of_images_that_were_not_run_alone_are_kept_whole() -> None:
    rows = fakes.table(16)
    evidence = fakes.run(fakes.faithful(rows), 16, passes=second_round(16, SIZES), round_=1)
    (chosen,) = evidence.find("batched")
    assert evidence.outputs(chosen).tobytes() == rows[:16].tobytes()
    assert list(evidence.rows(chosen.id)[0]) == list(range(4, 16))

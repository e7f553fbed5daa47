import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.compare.comparisons import against_singles, comparisons
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.records.study import Comparison
from tests import fakes
from tests.fakes import CONDITION, Network, run, table

ROWS = table()


def compared(network: Network, **options: object) -> list[Comparison]:
    first, second = run(network, **options), run(network, round_=1, **options)  # type: ignore[arg-type]
    reference = run(fakes.faithful(ROWS.astype(np.float64)), probes=False, batch_sizes=())
    return comparisons(first, second, reference, CONDITION)


def of(kind: str, made: Sequence[Comparison]) -> dict[int, Comparison]:
    return {comparison.batch_size: comparison for comparison in made if comparison.kind == kind}


def test_a_faithful_network_gives_the_ideal_everywhere() -> None:
    made = compared(fakes.faithful(ROWS))
    assert [(comparison.kind, comparison.batch_size) for comparison in made] == [
        ("batch-vs-singles", 2),
        ("batch-vs-singles", 4),
        ("repeat", 1),
        ("repeat", 2),
        ("repeat", 4),
        ("position", 4),
        ("neighbours", 4),
        ("vs-reference", 1),
    ]
    for comparison in made[:-1]:
        assert comparison.bitwise_equal and comparison.issues == ()
        assert (comparison.n_images_equal, comparison.n_elements_differing) == (comparison.n_images, 0)
        assert (comparison.max_abs, comparison.max_ulp, comparison.sqnr_db, comparison.cosine_min) == (
            0.0,
            0.0,
            math.inf,
            1.0,
        )
        assert comparison.top1_flip_upper95 == pytest.approx(1 - 0.05 ** (1 / comparison.n_images))


def test_the_conditions_of_the_probes_are_their_own() -> None:
    made = compared(fakes.faithful(ROWS))
    assert of("position", made)[4].condition == CONDITION.model_copy(update={"position": 1})
    assert of("neighbours", made)[4].condition == CONDITION.model_copy(update={"neighbours": "outlier"})
    assert of("neighbours", made)[4].n_images == 3  # the outlier's own row is not kept
    assert of("batch-vs-singles", made)[4].condition == CONDITION


def test_one_ulp_is_found_at_every_n_and_nowhere_else() -> None:
    made = compared(fakes.one_ulp_when_batched(ROWS))
    for comparison in made:
        if comparison.kind == "batch-vs-singles":
            assert (comparison.n_elements_differing, comparison.max_ulp, comparison.n_images_equal) == (
                1,
                1.0,
                comparison.n_images - 1,
            )
            assert comparison.ulp_at == float(ROWS[0, 0])
            assert comparison.allclose and not comparison.bitwise_equal
        elif comparison.kind != "vs-reference":
            assert comparison.bitwise_equal


def test_a_ragged_last_batch_is_evidence_for_its_own_size() -> None:
    evidence = run(fakes.one_ulp_when_batched(ROWS, image=5), batch_sizes=(4,))
    assert [(p.batch_size, p.images) for p in evidence.find("batched")] == [(4, (0, 1, 2, 3)), (2, (4, 5))]
    made = of("batch-vs-singles", comparisons(evidence, None, None, CONDITION))
    assert made[4].bitwise_equal and made[4].n_images == 4
    assert not made[2].bitwise_equal and made[2].n_images == 2


def test_the_nearest_of_an_embedding_is_sought_among_all_images_not_among_those_compared() -> None:
    def at(degrees: list[float]) -> NDArray[np.float32]:
        return np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], axis=1).astype(np.float32)

    angles = [0.0, 10.0, 40.0, 90.0, 140.0, 180.0]
    passes = [Pass("singles", 1, 0, 6), Pass("batched", 2, 0, 2)]

    def turned(batch: list[int], _: int) -> NDArray[np.float32]:
        return at([angles[image] + 30.0 * (len(batch) > 1 and image == 0) for image in batch])

    evidence = replace(run(turned, passes=passes), outcome=Outcome(kind="embedding"))
    (compared_two,) = comparisons(evidence, None, None, CONDITION)
    assert (compared_two.n_images, compared_two.top1_flips) == (2, 1)  # of image 0 the nearest was 1, and is 2
    assert compared_two.recall_at_k == {"1": 0.5}


def test_passes_of_one_size_are_merged_over_the_union_of_their_images() -> None:
    passes = [Pass("singles", 1, 0, 6), Pass("batched", 2, 4, 6), Pass("batched", 2, 0, 4)]
    pairs = against_singles(run(fakes.faithful(ROWS), passes=passes), 2)
    assert pairs.images.tolist() == [0, 1, 2, 3, 4, 5]
    assert pairs.candidate.tobytes() == ROWS[:6].tobytes()


def test_an_image_met_twice_at_one_n_counts_once_with_its_worse_row() -> None:
    def network(batch: list[int], _: int) -> np.ndarray:  # image 2 flips beside image 3, moves a lot beside image 1
        out = ROWS[batch].copy()
        if batch == [1, 2]:
            out[1, 0] -= 9.0
        if batch == [2, 3]:
            out[0, 3] += ROWS[2, 2] - ROWS[2, 3] + np.float32(0.5)
            assert out[0].argmax() == 3
        return out

    orders = itertools.permutations([Pass("batched", 2, 2, 4), Pass("batched", 2, 1, 3)])
    for order in orders:
        evidence = run(network, passes=[Pass("singles", 1, 0, 6), *order])
        (made,) = comparisons(evidence, None, None, CONDITION)
        assert (made.n_images, made.n_images_equal, made.top1_flips) == (3, 2, 1)


def test_swapped_rows_flip() -> None:
    made = of("batch-vs-singles", compared(fakes.swapped_rows(ROWS)))
    assert (made[2].top1_flips, made[4].top1_flips) == (6, 2)


def test_a_neighbour_leak_shows_only_beside_the_outlier() -> None:
    made = compared(fakes.neighbour_leak(ROWS))
    assert [
        comparison.kind for comparison in made if not comparison.bitwise_equal and comparison.kind != "vs-reference"
    ] == ["neighbours"]
    assert of("neighbours", made)[4].max_abs == pytest.approx(1.0)


def test_a_dependence_on_the_place_shows_only_in_the_rotated_batches() -> None:
    made = compared(fakes.place_dependent(ROWS))
    assert [
        comparison.kind for comparison in made if not comparison.bitwise_equal and comparison.kind != "vs-reference"
    ] == ["position"]


def test_rotated_batches_are_compared_with_the_same_batches_only() -> None:
    passes = [Pass("singles", 1, 0, 6), Pass("batched", 2, 0, 4), Pass("position", 2, 1, 5), Pass("position", 2, 2, 6)]
    made = of("position", comparisons(run(fakes.faithful(ROWS), passes=passes), None, None, CONDITION))
    assert made[2].n_images == 2  # images 2 and 3: the pass from 1 pairs other images, and 4 and 5 have no plain row


def test_a_second_round_that_differs_is_found_by_the_repeat() -> None:
    made = of("repeat", compared(fakes.unrepeatable(ROWS)))
    assert made[1].bitwise_equal
    assert not made[2].bitwise_equal and made[2].max_abs == pytest.approx(1.0)


def test_only_passes_of_both_rounds_are_repeats() -> None:
    first, second = run(fakes.faithful(ROWS)), run(fakes.faithful(ROWS), batch_sizes=(2,), probes=False, round_=1)
    assert list(of("repeat", comparisons(first, second, None, CONDITION))) == [1, 2]


def test_nan_inf_and_constants_are_named() -> None:
    made = of("batch-vs-singles", compared(fakes.with_nan(ROWS, from_size=4)))
    assert made[2].issues == () and made[2].bitwise_equal
    assert made[4].issues == ("nan",) and math.isnan(made[4].max_abs or 0.0)
    assert of("batch-vs-singles", compared(fakes.constant(ROWS)))[2].issues == ("constant",)
    infinite = ROWS.copy()
    infinite[1, 0] = np.inf
    assert of("batch-vs-singles", compared(fakes.faithful(infinite)))[2].issues == ("inf",)


def test_a_signed_zero_is_a_difference_with_a_name() -> None:
    zero = np.zeros_like(ROWS) + ROWS * (ROWS > 0)

    def network(batch: list[int], _: int) -> np.ndarray:
        return (
            zero[batch] * np.float32(1)
            if len(batch) == 1
            else np.where(zero[batch] == 0, np.float32(-0.0), zero[batch])
        )

    made = of("batch-vs-singles", compared(network))[2]
    assert made.issues == ("signed-zero",)
    assert made.max_abs == 0.0 and not made.bitwise_equal and made.n_elements_differing > 0


@pytest.mark.parametrize(
    ("singles", "issues"),
    [
        (ROWS[:5], ("count-mismatch",)),
        (ROWS[:6, :3], ("shape-mismatch",)),
        (ROWS[:2, :3], ("count-mismatch", "shape-mismatch")),
    ],
)
def test_a_mismatch_is_named_and_never_measured(singles: np.ndarray, issues: tuple[str, ...]) -> None:
    first = run(fakes.faithful(ROWS))
    other = run(fakes.faithful(singles), n_images=len(singles), batch_sizes=(), probes=False)
    made = comparisons(first, other, other, CONDITION)
    repeated = [of("repeat", made)[1]] if issues == ("shape-mismatch",) else []  # a second round may run fewer images
    for comparison in (*repeated, of("vs-reference", made)[1]):
        assert comparison.issues == issues
        assert not comparison.bitwise_equal and comparison.n_images_equal == 0
        assert comparison.max_abs is None and comparison.top1_flips is None and comparison.allclose is None
    assert list(of("repeat", made)) == [1]


def test_against_the_reference_types_differ_and_values_are_measured() -> None:
    exact = table(dtype=np.float64)
    first = run(fakes.faithful(exact.astype(np.float16)))
    reference = run(fakes.faithful(exact), batch_sizes=(), probes=False)
    made = of("vs-reference", comparisons(first, None, reference, CONDITION))[1]
    assert not made.bitwise_equal
    assert made.max_ulp == 0.0  # the nearest fp16 value of each logit
    assert made.max_abs is not None and 0 < made.max_abs < 2**-10
    assert made.sqnr_db is not None and 60 < made.sqnr_db < 90

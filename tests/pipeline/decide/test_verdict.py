import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.compare.comparisons import comparisons
from isobatch.pipeline.compare.margins import leave_one_out, margin_screen, observations
from isobatch.pipeline.decide.verdict import Tested as OneCondition  # pytest would collect a class named Test...
from isobatch.pipeline.decide.verdict import inputs_verdict, repeatable, worst
from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.records.study import InputsVerdict
from tests import fakes
from tests.fakes import CONDITION, Network, run, table

ROWS = table()


def judged(
    network: Network,
    n_images: int = 6,
    batch_sizes: Sequence[int] = (2, 4),
    clips: Mapping[str, tuple[int, int]] | None = None,
    inputs: str = "seed",
) -> InputsVerdict | None:
    first = run(network, n_images, batch_sizes, clips=clips, inputs=inputs)
    second = run(network, n_images, batch_sizes, round_=1, clips=clips, inputs=inputs)
    return inputs_verdict([OneCondition(CONDITION, first, comparisons(first, second, None, CONDITION))], n_images)


def verdict_of(network: Network) -> InputsVerdict:
    verdict = judged(network)
    assert verdict is not None
    return verdict


def test_batch_invariant_states_its_scope() -> None:
    verdict = verdict_of(fakes.faithful(ROWS))
    assert verdict.verdict == "batch-invariant"
    assert verdict.decided_by.why == (
        "All bytes of 6 images are those of their singles at N = 2 and 4 (4 batched comparisons, 3 repeats)."
    )
    assert (verdict.top1_flips, verdict.n_comparisons) == (0, 7)
    assert verdict.top1_flip_upper95 == pytest.approx(1 - 0.05 ** (1 / 6))
    assert verdict.margin is not None and verdict.margin.exposed_images == []


def test_raw_rows_have_no_margin_and_so_no_exposed_images() -> None:
    for network, verdict in (
        (fakes.faithful(ROWS), "batch-invariant"),
        (fakes.noise_by_size(ROWS, {2: 0.1}), "batch-variant"),
    ):
        evidence = replace(run(network), outcome=Outcome(kind="raw"))
        set_verdict = inputs_verdict(
            [OneCondition(CONDITION, evidence, comparisons(evidence, None, None, CONDITION))], 6
        )
        assert set_verdict is not None and (set_verdict.verdict, set_verdict.margin) == (verdict, None)


def test_a_small_difference_under_wide_margins_is_top1_stable() -> None:
    verdict = verdict_of(fakes.noise_by_size(ROWS, {2: 0.125, 4: 0.25}))
    assert verdict.verdict == "top1-stable"
    assert (verdict.decided_by.inputs, verdict.decided_by.batch_size) == ("seed", 4)
    assert verdict.decided_by.why.startswith("At N = 4 (2 threads) 4 of 4 images differ from the singles by up to 0.25")


def test_an_exposed_image_makes_it_batch_variant_without_any_flip() -> None:
    close = ROWS.copy()
    close[3, 5] = close[3, 3] - np.float32(0.125)  # margin 1/8, noise of the others 1/8
    verdict = verdict_of(fakes.noise_by_size(close, {2: 0.125}))
    assert verdict.verdict == "batch-variant"
    assert (verdict.top1_flips, verdict.margin and verdict.margin.exposed_images) == (0, [3])
    assert "1 of 6 images could: the margin of image 3 is 0.125, within twice the 0.125" in verdict.decided_by.why


def test_a_flip_makes_it_batch_variant_and_counts_images_once() -> None:
    verdict = verdict_of(fakes.swapped_rows(ROWS))
    assert (verdict.verdict, verdict.top1_flips) == ("batch-variant", 6)
    assert verdict.decided_by.batch_size == 2
    assert "the top-1 class of 6 of 6 images changed" in verdict.decided_by.why


def test_a_difference_seen_only_beside_an_outlier_counts() -> None:
    verdict = verdict_of(fakes.neighbour_leak(ROWS))
    assert verdict.verdict == "batch-variant"
    assert verdict.decided_by.condition is not None and verdict.decided_by.condition.neighbours == "outlier"
    assert "beside an outlier" in verdict.decided_by.why


def test_not_repeatable_comes_first() -> None:
    verdict = verdict_of(fakes.unrepeatable(ROWS))
    assert verdict.verdict == "not-repeatable"
    assert "other bytes the second time at N = 2: 6 of 6 images differ, by up to 1." in verdict.decided_by.why


@pytest.mark.parametrize(
    ("network", "clips", "says"),
    [
        (fakes.with_nan(ROWS, from_size=1), None, "6 of 6 images have NaN or infinite outputs run alone"),
        (fakes.with_nan(ROWS, from_size=4), None, "4 of 4 images have NaN or infinite outputs at N = 4"),
        (fakes.constant(ROWS), None, "All 6 images have one and the same output row"),
        (
            fakes.faithful(ROWS),
            {"conv1": (2, 1000), "fc": (340, 10_000)},
            "Layer fc has 3.4 % of its activations at the clip",
        ),
    ],
)
def test_invalid_outputs_are_named(network: Network, clips: Mapping[str, tuple[int, int]] | None, says: str) -> None:
    verdict = judged(network, clips=clips)
    assert verdict is not None
    assert verdict.verdict == "invalid"
    assert says in verdict.decided_by.why


def test_one_percent_at_the_limits_is_still_valid() -> None:
    verdict = judged(fakes.faithful(ROWS), clips={"fc": (100, 10_000)})
    assert verdict is not None
    assert (verdict.verdict, verdict.clip_layer, verdict.clip_share) == ("batch-invariant", "fc", 0.01)


def test_a_verdict_without_a_repeat_says_so() -> None:
    evidence = run(fakes.faithful(ROWS))
    verdict = inputs_verdict([OneCondition(CONDITION, evidence, comparisons(evidence, None, None, CONDITION))], 6)
    assert verdict is not None
    assert verdict.decided_by.why.endswith("(4 batched comparisons). No call was repeated.")


def test_without_a_batch_there_is_no_verdict() -> None:
    assert judged(fakes.faithful(ROWS), n_images=1) is None


def test_flips_are_united_over_conditions() -> None:
    def flips(image: int) -> Network:
        return fakes.noise_by_size(ROWS, {2: 9.0}, images=[image])

    tested = []
    for threads, network in [(1, flips(0)), (2, flips(1))]:
        condition = CONDITION.model_copy(update={"threads": threads})
        evidence = run(network)
        tested.append(OneCondition(condition, evidence, comparisons(evidence, None, None, condition)))
    verdict = inputs_verdict(tested, 6)
    assert verdict is not None
    assert verdict.top1_flips == 2


def with_a_cap(first: int, stop: int, network: Network, isa: str = "avx2") -> OneCondition:
    """A condition under which only some images were run."""
    passes = (Pass("singles", 1, first, stop), Pass("batched", 2, first, stop - (stop - first) % 2))
    condition = CONDITION.model_copy(update={"isa": isa})
    evidence = run(network, passes=passes)
    return OneCondition(condition, evidence, comparisons(evidence, None, None, condition))


@pytest.mark.parametrize(("first", "stop"), [(0, 2), (2, 5), (4, 6)])
def test_conditions_may_have_run_different_images(first: int, stop: int) -> None:
    whole = run(fakes.faithful(ROWS))
    plain = OneCondition(CONDITION, whole, comparisons(whole, None, None, CONDITION))
    verdict = inputs_verdict([plain, with_a_cap(first, stop, fakes.faithful(ROWS))], 6)
    assert verdict is not None
    assert verdict.verdict == "batch-invariant"
    assert verdict.decided_by.why.startswith("All bytes of 6 images are those of their singles")
    assert f"Only {stop - first} of 6 images were run with 2 threads, isa avx2." in verdict.decided_by.why
    assert [(run_images.condition.isa, run_images.first, run_images.stop) for run_images in verdict.images_run] == [
        ("native", 0, 6),
        ("avx2", first, stop),
    ]


def test_margins_and_flips_are_combined_by_image_whichever_condition_comes_first() -> None:
    """Image 4 flips and image 5 comes close under the cap, which ran images 3 to 5 only."""
    close = ROWS.copy()
    close[5, 3] = close[5, 5] - np.float32(0.125)

    def flip(batch: list[int], _: int) -> np.ndarray:
        out = close[batch].copy()
        if len(batch) > 1 and 4 in batch:
            out[batch.index(4), 0] += np.float32(99)
        return out

    whole = run(fakes.faithful(ROWS))
    plain = OneCondition(CONDITION, whole, comparisons(whole, None, None, CONDITION))
    capped = with_a_cap(3, 6, flip)
    for tested in ([plain, capped], [capped, plain]):
        verdict = inputs_verdict(tested, 6)
        assert verdict is not None and verdict.margin is not None
        assert (verdict.verdict, verdict.top1_flips, verdict.n_images) == ("batch-variant", 1, 6)
        assert set(verdict.margin.exposed_images) == {0, 1, 2, 3, 5}  # only image 4 has quiet neighbours


def test_an_exposed_image_is_named_by_its_place_in_the_set() -> None:
    close = ROWS.copy()
    close[4, 5] = close[4, 4] - np.float32(0.125)
    verdict = inputs_verdict([with_a_cap(2, 6, fakes.noise_by_size(close, {2: 0.125}))], 4)
    assert verdict is not None and verdict.margin is not None
    assert verdict.margin.exposed_images == [4]
    assert "the margin of image 4 is 0.125" in verdict.decided_by.why


def test_the_worst_set_stands_for_the_variant() -> None:
    good = judged(fakes.faithful(ROWS), inputs="digits")
    bad = judged(fakes.swapped_rows(ROWS), inputs="photos")
    assert good is not None and bad is not None
    assert worst([good, bad]) is bad
    assert worst([good, good.model_copy()]) is good
    assert worst([]) is None


def test_repeatable_is_unknown_where_nothing_was_repeated() -> None:
    first = run(fakes.faithful(ROWS))
    assert repeatable(comparisons(first, None, None, CONDITION)) is None
    assert repeatable(comparisons(first, first, None, CONDITION)) is True
    assert repeatable(comparisons(first, run(fakes.unrepeatable(ROWS), round_=1), None, CONDITION)) is False


@given(st.lists(st.floats(0, 10), min_size=2, max_size=9))
def test_leave_one_out_is_the_largest_of_the_others(noise: list[float]) -> None:
    others = leave_one_out(np.array(noise))
    assert others.tolist() == [max(noise[:i] + noise[i + 1 :]) for i in range(len(noise))]


def test_the_screen_uses_the_noise_of_the_other_images() -> None:
    evidence = run(fakes.noise_by_size(ROWS, {2: 4.0}, images=[6 - 1]), batch_sizes=(2,), probes=False)
    margin = margin_screen([(evidence.images, evidence.singles)], observations(evidence, CONDITION))
    # Image 5 alone is noisy: the others must exceed twice 4, it must only exceed 0.
    assert margin.exposed_images == [0, 1, 2, 3, 4]
    assert margin.observed_noise == pytest.approx(4.0)
    assert margin.screened_share == pytest.approx(1 / 6)


def test_a_single_image_or_a_nan_is_exposed() -> None:
    evidence = run(fakes.noise_by_size(ROWS, {}), batch_sizes=(2,), probes=False)
    seen = observations(evidence, CONDITION)
    assert margin_screen([(evidence.images, evidence.singles)], seen).exposed_images == []
    seen[0].noise[2] = math.nan
    assert margin_screen([(evidence.images, evidence.singles)], seen).exposed_images == [0, 1, 3, 4, 5]
    assert leave_one_out(np.array([1.0])).tolist() == [math.inf]

from typing import Any

import pytest

from isobatch.pipeline.decide.policy import obstacles
from isobatch.pipeline.decide.ranges import (
    as_shipped,
    holds_to,
    range_details,
    range_warnings,
    range_words,
    with_range,
)
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.deploy.facts import largest_tested
from isobatch.pipeline.records.study import FilledWith, Policy, Range, RangeFailure, RangeTies
from tests.pipeline.results import integer, interval, race, repair, result


def verified(to: int = 32, *failures: tuple[int, str, int], **more: Any) -> Range:
    """A range asked to 32, recommended at 8; failures as (N, kind, flipped)."""
    fields: dict[str, Any] = {
        "claim": "same-bytes",
        "sizes": list(range(2, 33)),
        "to": to,
        "batch_size": 8,
        "threads": 2,
        "image_size": [224, 224],
        "inputs": "digits",
        "filled_with": FilledWith(own=16, labelled=16),
        "n_comparisons": 62,
        "failed_at": sorted({n for n, _, _ in failures}),
        "failures": [RangeFailure(batch_size=n, kind=kind, differing=1, flipped=f) for n, kind, f in failures],
    }
    return Range(**(fields | more))


@pytest.mark.parametrize(
    ("asked", "run", "failed", "expected"),
    [
        ((2, 3, 4), (2, 3, 4), (), 4),
        ((2, 3, 4), (2, 3, 4), (3,), 2),
        ((2, 3, 4), (2, 4), (), 2),
        ((2, 3), (2, 3), (2,), 1),
        ((2, 8, 32), (2, 8, 32), (), 32),
    ],
)
def test_the_claim_ends_before_the_first_n_that_fails_or_was_not_run(
    asked: tuple[int, ...], run: tuple[int, ...], failed: tuple[int, ...], expected: int
) -> None:
    assert holds_to(asked, run, failed) == expected


def test_a_range_in_words() -> None:
    assert range_words(verified()) == "Same bytes at every N from 1 to 32, 2 threads, 224 x 224."
    few = verified(8, sizes=[2, 4, 8], claim="same-top1")
    assert range_words(few) == "Same top-1 at N = 1, 2, 4 and 8, 2 threads, 224 x 224."
    narrowed = verified(16, (17, "copies", 0), (20, "batch", 0))
    text = "Same bytes at every N from 1 to 16, 2 threads, 224 x 224; not beyond: copies of one image at N = 17."
    assert range_words(narrowed) == text
    assert range_warnings(narrowed) == [f"{text} The shipped loader splits larger calls."]
    assert range_warnings(verified()) == []
    late = verified(5, stopped="the time for it was over")
    beyond = " N = 8, which is recommended, was compared on the images of the study only."
    assert range_warnings(late) == [range_words(late) + beyond] and "the time for it was over" in range_words(late)
    assert range_warnings(verified(4, sizes=[2, 3, 4]))[0].endswith(beyond)  # all that was asked
    assert range_warnings(verified(32, batch_size=64))[0].startswith("Same bytes at every N from 1 to 32")


def test_what_a_range_rests_on() -> None:
    drawn = FilledWith(own=4, labelled=8, drawn=20)
    text = range_details(verified(filled_with=drawn, ties=RangeTies(layers=21, elements=1000, to=32)))
    assert "62 comparisons" in text and "4 images of digits, 8 labelled images and 20 drawn at random" in text
    assert text.endswith("21 integer layers placed on rounding ties up to N = 32: 1,000 elements compared.")


@pytest.mark.parametrize(
    ("failure", "stability", "rejected"),
    [
        ((9, "batch", 1), "batch-invariant", False),  # outside of what is shipped
        ((8, "batch", 0), "batch-invariant", True),
        ((3, "ties", 0), "batch-invariant", True),
        ((3, "ties", 0), "top1-stable", True),  # nobody looked at an answer
        ((8, "copies", 0), "top1-stable", False),
        ((8, "copies", 1), "top1-stable", True),
        ((8, "copies", 1), "none", False),
    ],
)
def test_a_failure_inside_what_is_shipped_stands_in_the_way(
    failure: tuple[int, str, int], stability: Any, rejected: bool
) -> None:
    shipped = as_shipped(result("v", range=verified(failure[0] - 1, failure)))
    assert bool(obstacles(shipped, Policy(stability=stability))) is rejected


def test_the_decision_is_made_again_without_what_fails() -> None:
    mended = result("mended", "batch-variant", repairs=[repair()])
    raced = race(mended__surgical=200, fast=150, slow=100)
    variants = [mended, result("fast"), result("slow")]
    assert recommend(variants, Policy(), raced).chosen == "mended+surgical"
    variants = with_range(variants, "mended+surgical", verified(4, (5, "batch", 0)))
    variants = with_range(variants, "fast", verified(1, (2, "copies", 0)))
    decided = recommend(variants, Policy(), raced)
    why = {rejection.variant: rejection.why for rejection in decided.rejected}
    assert decided.chosen == "slow" and decided.range is None
    assert (
        "fails inside what is shipped (up to N = 8, 2 threads, 224 x 224): a batch of images at N = 5"
        in (why["mended+surgical"])
    )
    assert "copies of one image at N = 2" in why["fast"]
    variants = with_range(variants, "slow", verified(16, (17, "batch", 0)))
    decided = recommend(variants, Policy(), raced)
    assert decided.chosen == "slow" and decided.range is not None and decided.range.to == 16
    assert any("splits larger calls" in text for text in decided.warnings)
    assert recommend(variants, Policy(stability="none"), raced).chosen == "mended+surgical"


def test_beyond_a_failure_no_n_is_recommended() -> None:
    wide = result("v")
    assert wide.cost is not None
    speeds = {**wide.cost.throughput_img_s, "16": interval(200.0)}
    wide = wide.model_copy(update={"cost": wide.cost.model_copy(update={"throughput_img_s": speeds})})
    assert recommend([wide], Policy()).batch_size == 16
    narrowed = with_range([wide], "v", verified(11, (12, "batch", 0)))
    assert recommend(narrowed, Policy()).batch_size == 8


def test_bytes_that_fail_inside_what_is_shipped_are_no_longer_called_invariant() -> None:
    fails = with_range([integer("v", {"digits": "batch-invariant"})], "v", verified(4, (5, "batch", 0)))
    decided = recommend(fails, Policy(stability="top1-stable"))
    assert decided.chosen == "v" and decided.because[0] == (
        "It is top1-stable: on digits, verified at every N it fails inside what is shipped (up to N = 8, 2 threads, "
        "224 x 224): a batch of images at N = 5."
    )


def test_the_shipped_loader_takes_calls_up_to_the_end_of_the_range() -> None:
    native = result("v")
    assert largest_tested(native, "seed") == 1
    assert largest_tested(native, "seed", verified(17)) == 17
    assert largest_tested(native, "seed", verified(2, (3, "batch", 0))) == 1  # it ends inside what is shipped

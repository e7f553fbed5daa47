import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.compare.statistics import (
    call_time,
    change_interval,
    drop_decision,
    drop_lower,
    drop_upper,
    holm,
    mcnemar_p,
    median_interval,
    needed_n,
    rate_interval,
    rate_lower,
    rate_upper,
    upper,
)


def at_most(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k), term by term."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize("n", [1, 2, 5, 17, 40])
def test_the_upper_bound_is_where_so_few_events_have_probability_alpha(n: int) -> None:
    for k in range(n):
        assert at_most(k, n, rate_upper(k, n)) == pytest.approx(0.05, rel=1e-9)
        assert 1 - at_most(k, n, rate_lower(k + 1, n)) == pytest.approx(0.05, rel=1e-9)
    assert rate_upper(n, n) == 1.0
    assert rate_lower(0, n) == 0.0


def test_published_values() -> None:
    # Two-sided 95 %: the textbook example 10 of 100, and the rule of three.
    assert rate_interval(10, 100) == pytest.approx((0.04900469, 0.17622260), abs=1e-7)
    assert rate_upper(0, 1000) == pytest.approx(3 / 1000, rel=3e-3)


@pytest.mark.parametrize(("events", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(events: int, n: int) -> None:
    with pytest.raises(ValueError, match="events"):
        rate_upper(events, n)


@pytest.mark.parametrize("n", [1, 4, 9, 14, 40])
def test_the_drop_bound_covers_at_least_95_percent_whatever_the_rates(n: int) -> None:
    """Brute force: every outcome (b, c) of n pairs, over a grid of true rates."""
    outcomes = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    uppers = {pair: drop_upper(*pair, n) for pair in outcomes}
    ways = {(b, c): math.comb(n, b) * math.comb(n - b, c) for b, c in outcomes}
    grid = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0]
    for p_b in grid:
        for p_c in (rate for rate in grid if p_b + rate <= 1):
            rest = max(0.0, 1 - p_b - p_c)
            covered = math.fsum(
                ways[b, c] * p_b**b * p_c**c * rest ** (n - b - c)
                for b, c in outcomes
                if uppers[b, c] >= p_b - p_c - 1e-12
            )
            assert covered >= 0.95 - 1e-9, (p_b, p_c)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 300))
def test_the_bounds_of_a_drop_hold_it_between_them(b: int, c: int, more: int) -> None:
    n = b + c + more
    assert drop_lower(b, c, n) <= (b - c) / n <= drop_upper(b, c, n)
    assert drop_lower(b, c, n) >= -1
    assert drop_upper(b, c, n) <= 1


def test_more_discordant_than_images_is_refused() -> None:
    with pytest.raises(ValueError, match="discordant"):
        drop_upper(3, 3, 5)


@pytest.mark.parametrize("n", [1, 5, 14])
def test_the_interval_of_a_change_covers_at_least_95_percent(n: int) -> None:
    outcomes = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    limits = {pair: change_interval(*pair, n) for pair in outcomes}
    for p_b, p_c in [(0.0, 0.0), (0.1, 0.1), (0.5, 0.5), (0.3, 0.05), (0.0, 0.9), (1.0, 0.0)]:
        covered = math.fsum(
            math.comb(n, b) * math.comb(n - b, c) * p_b**b * p_c**c * max(0.0, 1 - p_b - p_c) ** (n - b - c)
            for b, c in outcomes
            if limits[b, c][0] <= p_c - p_b + 1e-12 and limits[b, c][1] >= p_c - p_b - 1e-12
        )
        assert covered >= 0.95 - 1e-9, (p_b, p_c)


@pytest.mark.parametrize("pair", [(0, 0), (0, 1), (1, 0), (3, 3), (0, 5), (5, 0), (2, 9), (40, 60)])
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(pair: tuple[int, int]) -> None:
    n = sum(pair)
    uneven = [k for k in range(n + 1) if min(k, n - k) <= min(pair)]
    assert mcnemar_p(*pair) == pytest.approx(math.fsum(math.comb(n, k) for k in uneven) / 2**n)


def rejected(p_values: list[float], alpha: float) -> set[int]:
    """Holm's procedure as it is told: from the smallest p on, until one exceeds alpha over those that are left."""
    places: set[int] = set()
    for at in sorted(range(len(p_values)), key=p_values.__getitem__):
        if p_values[at] > alpha / (len(p_values) - len(places)):
            break
        places.add(at)
    return places


@given(st.lists(st.floats(1e-6, 1.0), max_size=6))
def test_holm_s_p_is_the_level_at_which_the_procedure_rejects(p_values: list[float]) -> None:
    for at, corrected in enumerate(holm(p_values)):
        assert p_values[at] <= corrected <= 1
        assert corrected == 1 or at in rejected(p_values, corrected * (1 + 1e-9))
        assert at not in rejected(p_values, corrected * (1 - 1e-9))


def test_decisions() -> None:
    assert drop_decision(0, 0, 300, 0.02) == "met"
    assert drop_decision(0, 0, 100, 0.02) == "undecided"
    assert drop_decision(5, 3, 360, 0.02) == "undecided"
    assert drop_decision(60, 3, 360, 0.02) == "not-met"


def test_needed_n_is_the_first_that_decides() -> None:
    needed = needed_n(0, 0, 100, 0.02)
    assert needed is not None
    assert drop_decision(0, 0, needed, 0.02) == "met"
    assert drop_decision(0, 0, needed - 1, 0.02) == "undecided"
    assert needed_n(2, 0, 100, 0.02) is None  # exactly at the limit: no number of images decides
    assert needed_n(0, 0, 100, 0.0) is None


def test_the_median_of_six_or_more_by_order_statistics() -> None:
    interval = median_interval([6.0, 1.0, 5.0, 2.0, 4.0, 3.0])
    assert (interval.median, interval.low95, interval.high95, interval.n) == (3.5, 1.0, 6.0, 6)
    # Tables of the sign test: n = 10 drops one value at each end, n = 20 five, n = 100 thirty-nine.
    for n, dropped in [(10, 1), (20, 5), (100, 39)]:
        interval = median_interval(np.arange(1, n + 1).tolist())
        assert (interval.low95, interval.high95) == (1 + dropped, n - dropped)


@pytest.mark.parametrize("n", [6, 7, 9, 12, 25])
def test_order_limits_cover_the_median_exactly(n: int) -> None:
    """The limits miss only if at most ``rank`` of n fair coins fall on one side."""
    interval = median_interval(np.arange(1, n + 1).tolist())
    assert interval.low95 is not None
    rank = round(interval.low95) - 1
    assert 2 * at_most(rank, n, 0.5) <= 0.05 < 2 * at_most(rank + 1, n, 0.5)


def test_the_median_of_few_by_student_t_on_logarithms() -> None:
    interval = median_interval([1.0, math.e, math.e**2])
    reach = 4.302652729911275 / math.sqrt(3)  # t(0.975, 2 degrees of freedom), standard deviation 1
    assert interval.median == math.e
    assert (interval.low95, interval.high95) == pytest.approx((math.exp(1 - reach), math.exp(1 + reach)))


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=30))
def test_a_median_lies_in_its_interval(samples: list[float]) -> None:
    interval = median_interval(samples)
    assert interval.low95 is not None and interval.high95 is not None
    assert interval.low95 <= interval.median * (1 + 1e-9) and interval.median <= interval.high95 * (1 + 1e-9)
    assert interval.median == pytest.approx(float(np.median(samples)))


def test_one_sample_has_no_limits_and_none_no_median() -> None:
    assert median_interval([2.0]).low95 is None
    for bad in ([], [1.0, 0.0], [math.nan], [math.inf]):
        with pytest.raises(ValueError, match="positive"):
            median_interval(bad)


def test_needed_n_where_every_image_is_discordant_survives_rounding() -> None:
    for n in range(1, 60):
        for lost in range(n + 1):
            needed = needed_n(lost, n - lost, n, 0.02)
            assert needed is None or needed >= 1


def test_needed_n_grows_as_the_drop_nears_the_limit() -> None:
    needed = [needed_n(b, 0, 1000, 0.02) for b in (0, 5, 10, 15)]
    assert all(one is not None and other is not None and one <= other for one, other in pairwise(needed))


@pytest.mark.parametrize(
    ("n", "share", "rank"),
    [
        (58, 0.95, None),  # 0.95**58 = 0.051
        (59, 0.95, 59),  # 0.95**59 = 0.0485
        (93, 0.95, 92),
        (298, 0.99, None),
        (299, 0.99, 299),
        (4, 0.5, None),  # 1 - 0.5**4 = 0.9375
        (5, 0.5, 5),
        (10, 0.5, 9),  # P(Binomial(10, 1/2) < 9) = 0.989, < 8: 0.945
    ],
)
def test_ranks_of_the_distribution_free_limits(n: int, share: float, rank: int | None) -> None:
    assert upper(range(1, n + 1), share).upper95 == rank


def test_percentiles_are_undecided_where_their_limit_is() -> None:
    few = call_time([0.010, 0.011, 0.012, 0.013, 0.020])
    assert few is not None and (few.n, few.median.value, few.median.upper95) == (
        5,
        pytest.approx(12),
        pytest.approx(20),
    )
    assert (few.p95.value, few.p95.upper95, few.p99.value, few.p99.upper95) == (None, None, None, None)
    many = call_time([k / 1000 for k in range(1, 301)])
    assert many is not None and many.p99.value == pytest.approx(297.01) and many.p99.upper95 == pytest.approx(300)
    assert call_time([]) is None

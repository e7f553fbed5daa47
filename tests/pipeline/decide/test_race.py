import numpy as np
import pytest

from isobatch.pipeline.decide.race import ALPHA, LOOKS, expanded_tail, looks_due, ratios, spread_of, table


def made(true: list[float], rounds: int, seed: int, spread: float = 0.03, drift: float = 0.3) -> np.ndarray:
    """Times with noise of each call, rounds that drift as a whole, and now and then a call that takes twice as long."""
    drawn = np.random.default_rng(seed)
    calls = drawn.normal(0, spread, (rounds, len(true))) + np.log(2) * (drawn.random((rounds, len(true))) < 0.03)
    return np.array(true) * np.exp(calls + drift * np.sin(np.arange(rounds) / 7)[:, None])


def test_the_looks_share_five_per_cent() -> None:
    assert pytest.approx(0.05) == ALPHA * len(LOOKS)
    assert [looks_due(n) for n in (0, 9, 10, 19, 20, 40, 79, 80, 200)] == [0, 0, 1, 1, 2, 3, 3, 4, 4]


def test_exact_ratios_of_times_without_noise() -> None:
    times = table([[4.0] * 12, [1.1] * 12, [2.0] * 12], [4, 1, 1])
    raced = ratios(times)
    assert raced.leader == 0
    assert raced.ratio == pytest.approx([1.0, 1.1, 2.0])
    assert raced.low is not None and raced.high is not None
    assert [raced.low[1], raced.high[1]] == pytest.approx([1.1, 1.1])
    assert [raced.standing(at, 0.05) for at in range(3)] == ["leader", "slower", "slower"]
    assert raced.decided(0.05)


def test_under_ten_rounds_nothing_is_decided() -> None:
    raced = ratios(made([1.0, 3.0], 9, seed=0))
    assert (raced.low, raced.high, raced.resampled) == (None, None, None)
    assert raced.standing(1, 0.05) == "undecided" and not raced.decided(0.05)


def test_a_drift_of_all_widens_no_interval() -> None:
    still, moving = (ratios(made([1.0, 1.2], 40, seed=3, drift=drift)) for drift in (0.0, 2.0))
    for raced in (still, moving):
        assert raced.low is not None and raced.high is not None and raced.standing(1, 0.05) == "slower"
    assert moving.ratio == pytest.approx(still.ratio)
    assert moving.high == pytest.approx(still.high)


def test_ratios_are_those_of_the_calls_however_many_others_race_and_however_near_they_are() -> None:
    true = [1.0, 1.0, 1.045, 1.045, 1.3]
    seen = np.mean([ratios(made(true, 40, seed, spread=0.02), resamples=1).ratio for seed in range(100)], axis=0)
    assert seen == pytest.approx(np.array(true), abs=0.006)


def test_a_tie_is_shown_where_it_is_one_and_never_assumed() -> None:
    tie = ratios(made([1.0, 1.0], 80, seed=1))
    assert tie.standing(1 - tie.leader, 0.05) == "as-fast"
    noisy = ratios(made([1.0, 1.0], 10, seed=1, spread=0.3))
    assert noisy.standing(1 - noisy.leader, 0.05) == "undecided"


@pytest.mark.parametrize("rounds", LOOKS[:2])
def test_coverage_and_false_decisions_at_the_margin(rounds: int) -> None:
    """At a true ratio of exactly the margin, both "slower" and "as fast" are errors: each look may make 1.25 %."""
    races = [ratios(made([1.0, 1.05], rounds, seed), resamples=800) for seed in range(400)]
    false = sum(raced.standing(1, 0.05) in ("slower", "as-fast") for raced in races if raced.leader == 0)
    false += sum(raced.leader == 1 and raced.decided(0.05) for raced in races)
    assert false <= 0.05 * len(races)
    covered = sum(bool(raced.low[1] <= 1.05 <= raced.high[1]) for raced in races)  # type: ignore[index]
    assert covered >= 0.93 * len(races)


@pytest.mark.parametrize("times", [np.ones(3), np.empty((0, 2)), np.array([[1.0, 0.0]]), np.array([[1.0, np.nan]])])
def test_what_is_no_table_of_times_is_refused(times: np.ndarray) -> None:
    with pytest.raises(ValueError, match="positive, finite times"):
        ratios(times)


def test_the_tails_of_few_rounds_lie_further_out() -> None:
    tails = [expanded_tail(n) for n in (*LOOKS, 100_000)]
    assert tails == sorted(tails) and tails[0] < ALPHA / 10
    assert tails[-1] == pytest.approx(ALPHA / 2, rel=1e-3)


def test_what_another_race_would_change_widens_the_limits_and_no_round_of_this_one_narrows_it() -> None:
    one, other = (ratios(made([1.0, 1.02], 80, seed=1, spread=0.01), spread=spread) for spread in (0.0, 0.02))
    assert one.standing(1, 0.05) == "as-fast" and one.settled(0.05)
    assert other.standing(1, 0.05) == "undecided" and not other.decided(0.05)
    assert other.settled(0.05)  # more rounds would not decide it
    few = ratios(made([1.0, 1.02], 10, seed=1, spread=0.05), spread=0.01)
    assert few.standing(1, 0.05) == "undecided" and not few.settled(0.05)


@pytest.mark.parametrize("unsteady", [False, True])
def test_limits_hold_for_races_that_differ_by_the_spread(unsteady: bool) -> None:
    spread, covered = spread_of(unsteady), 0
    for seed in range(300):
        moved = np.exp(np.random.default_rng(seed).normal(0, spread, 2)) * [1.0, 1.2]
        raced = ratios(made(list(moved), 20, seed), spread=spread, resamples=800)
        assert raced.low is not None and raced.high is not None
        covered += bool(raced.low[1] <= 1.2 <= raced.high[1])
    assert covered >= 0.95 * 300


def test_waits_for_a_core_widen_the_limits_to_what_the_call_may_have_taken_alone() -> None:
    """The second contestant is as fast as the first, and waited for a third of its call beside another program."""
    times = made([1.0, 1.5], 40, seed=1, spread=0.02)
    waits = np.stack([np.zeros(40), times[:, 1] / 3], axis=1)
    blind, aware = ratios(times), ratios(times, waited=waits)
    assert blind.standing(1, 0.05) == "slower"
    assert aware.standing(1, 0.05) == "undecided"
    assert aware.low is not None and aware.high is not None
    assert aware.low[1] <= 1.01 and aware.high[1] >= 1.45
    assert aware.settled(0.05)  # more rounds beside that program would decide nothing


def test_waits_of_several_threads_leave_a_time_that_is_positive() -> None:
    times = made([1.0, 1.2], 20, seed=2)
    raced = ratios(times, waited=3 * times)
    assert raced.resampled is not None and np.isfinite(raced.resampled).all()


def test_calls_that_waited_for_nothing_have_the_limits_that_they_had() -> None:
    times = made([1.0, 1.2], 20, seed=2)
    plain, none = ratios(times), ratios(times, waited=np.zeros_like(times))
    assert plain.low is not None and none.low is not None and plain.high is not None and none.high is not None
    np.testing.assert_allclose(none.low, plain.low)
    np.testing.assert_allclose(none.high, plain.high)

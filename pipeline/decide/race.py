"""What a race shows: the ratio of every contestant's cost to the leader's, with intervals, and who is decided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LOOKS = (10, 20, 40, 80)
"""After so many rounds it is asked whether all are decided. Fewer rounds than the first give no interval."""

ALPHA = 0.05 / len(LOOKS)
"""The two-sided error of the interval of one look: all looks together stay within 5 % (Bonferroni)."""

RESAMPLES = 4000

SPREAD, UNSTEADY_SPREAD = 0.01, 0.02
"""How far another race of the same would move a contestant's cost, as a standard deviation: what no resampling of the
rounds of one race can see. Measured (docs/choosing.md); twice as much where other programs took time."""

_FIRM = 0.5
_MOST_SLOWED = 16.0  # several threads may wait at once: their waits together can be more than the call

Standing = Literal["leader", "as-fast", "undecided", "slower"]
Times = NDArray[np.float64]
"""[rounds, contestants]: seconds an image, or a call; all positive."""


@dataclass(frozen=True)
class Ratios:
    """Cost over that of the cheapest, which is 1."""

    ratio: NDArray[np.float64]
    low: NDArray[np.float64] | None  # lower limits at 1 - ``ALPHA``; None from few rounds
    high: NDArray[np.float64] | None  # upper ones
    resampled: NDArray[np.float64] | None  # [resamples, contestants], each to the leader of its resample
    rounds: int
    # More rounds would hardly narrow the limits, as most of their width is that of another race.
    firm: NDArray[np.bool_] | None = None

    @property
    def leader(self) -> int:
        """The contestant of least cost."""
        return int(np.argmin(self.ratio))

    def standing(self, at: int, margin: float) -> Standing:
        """How a contestant stands to the leader; ``margin``: a share (0.05).

        Slower: the whole interval lies beyond the margin. As fast: the whole interval lies within it.
        """
        if at == self.leader:
            return "leader"
        if self.low is None or self.high is None:
            return "undecided"
        if self.low[at] > 1 + margin:
            return "slower"
        return "as-fast" if self.high[at] <= 1 + margin else "undecided"

    def decided(self, margin: float) -> bool:
        """Whether every contestant is shown to be slower than the leader, or as fast."""
        return all(self.standing(at, margin) != "undecided" for at in range(len(self.ratio)))

    def settled(self, margin: float) -> bool:
        """Whether more rounds would decide nothing: every contestant is decided, or its limits are firm."""
        firm = np.zeros(len(self.ratio), np.bool_) if self.firm is None else self.firm
        return all(firm[at] or self.standing(at, margin) != "undecided" for at in range(len(self.ratio)))


def ratios(times: Times, spread: float = 0.0, waited: Times | None = None, resamples: int = RESAMPLES) -> Ratios:
    """The ratios of a race, by resampling its rounds; the leader is found again in each resample.

    ``spread``: that of a contestant's cost from race to race, drawn for each resample anew. ``waited``: of each time,
    how much of it the call's threads waited for a core, all together. With the machine to itself the call would have
    taken its time less a part of that, and nobody knows which: of each contestant another part in each resample.

    The cost of a contestant is the median over rounds of the logarithm of its time less that of the round, which is the
    mean over the contestants: what slows a whole round down, such as heat, takes no part. (Not their median: that is
    the time of one of them, whose own noise then counts for nothing, and the ratios are drawn towards it.)

    The limits are percentiles of the resamples, taken further out where rounds are few, as those are too alike then:
    the expanded percentile interval of Hesterberg (What Teachers Should Know About the Bootstrap, The American
    Statistician 69, 2015). Raises ValueError for times that are no table of positive, finite numbers.
    """
    if times.ndim != 2 or times.size == 0 or not np.isfinite(times).all() or (times <= 0).any():
        raise ValueError("a race needs a table [rounds, contestants] of positive, finite times")
    logs = np.log(times)
    logs = logs - logs.mean(axis=1, keepdims=True)
    cost = np.median(logs, axis=0)
    ratio = np.exp(cost - cost.min())
    rounds = len(times)
    if rounds < LOOKS[0]:
        return Ratios(ratio, None, None, None, rounds)
    random = np.random.default_rng(0)
    resampled = random.integers(0, rounds, (resamples, rounds))
    again = np.stack([np.median(column[resampled], axis=1) for column in logs.T], axis=1)
    alone = again if waited is None else _alone(times, waited, resampled, random)
    moved = alone + random.normal(0.0, spread, again.shape)
    low, high = _limits(moved, rounds)
    within_low, within_high = _limits(again, rounds)
    firm = within_high - within_low <= _FIRM * (high - low)
    return Ratios(ratio, np.minimum(low, ratio), np.maximum(high, ratio), _to_leader(moved), rounds, firm)


def _alone(times: Times, waited: Times, resampled: NDArray[np.int64], random: np.random.Generator) -> Times:
    """The costs of each resample, [resamples, contestants], had the calls waited less: by a share of its own each."""
    shares = random.random((len(resampled), times.shape[1]))
    least = np.maximum(times - waited, times / _MOST_SLOWED)
    logs = np.log(times[resampled] + shares[:, None, :] * (least - times)[resampled])
    costs: Times = np.median(logs - logs.mean(axis=2, keepdims=True), axis=1)
    return costs


def _to_leader(costs: Times) -> Times:
    """The ratios of each resample, [resamples, contestants], from logarithms of costs."""
    ratio: Times = np.exp(costs - costs.min(axis=1, keepdims=True))
    return ratio


def _limits(costs: Times, rounds: int) -> tuple[Times, Times]:
    tail = expanded_tail(rounds)
    low, high = np.quantile(_to_leader(costs), [tail, 1 - tail], axis=0)
    return low, high


def expanded_tail(rounds: int) -> float:
    """The percentile at which an interval of error ``ALPHA`` ends: Phi(-sqrt(n / (n - 1)) t), t of n - 1 degrees."""
    from scipy.special import ndtr, stdtrit

    t = float(stdtrit(rounds - 1, 1 - ALPHA / 2))
    return float(ndtr(-math.sqrt(rounds / (rounds - 1)) * t))


def spread_of(unsteady: bool) -> float:
    """The spread from race to race to reckon with, where times were steady or not."""
    return UNSTEADY_SPREAD if unsteady else SPREAD


def looks_due(rounds: int) -> int:
    """How many looks are due after so many rounds; several rounds may come to count at once."""
    return sum(look <= rounds for look in LOOKS)


def table(call_s: Sequence[Sequence[float]], batch_sizes: Sequence[int]) -> Times:
    """Seconds an image from the seconds of calls, a column a contestant; all have as many rounds."""
    return np.array(call_s, np.float64).T / np.asarray(batch_sizes, np.float64)

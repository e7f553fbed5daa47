"""Exact intervals for rates, for a paired drop of accuracy, and for times: their median, and the tail of calls."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from isobatch.pipeline.records.study import CallTime, Interval, UpperLimit

ALPHA = 0.05
_MOST_IMAGES = 10_000_000

Decision = Literal["met", "not-met", "undecided"]


def rate_upper(events: float, n: float, alpha: float = ALPHA) -> float:
    """The exact one-sided upper 1 - alpha bound on a rate: ``events`` seen in ``n`` trials.

    Clopper and Pearson, Biometrika 26 (1934). With no event in n trials it is 1 - alpha^(1/n), about 3/n at 95 %.
    ``events`` and ``n`` may be fractions, to ask about rates. ValueError unless 0 <= events <= n and n > 0.
    """
    from scipy.special import betaincinv  # costs 0.2 s, and most commands need no interval

    _check(events, n)
    return 1.0 if events == n else float(betaincinv(events + 1, n - events, 1 - alpha))


def rate_lower(events: float, n: float, alpha: float = ALPHA) -> float:
    """The exact one-sided lower 1 - alpha bound on a rate (Clopper and Pearson 1934); 0 where no event was seen."""
    from scipy.special import betaincinv

    _check(events, n)
    return 0.0 if events == 0 else float(betaincinv(events, n - events + 1, alpha))


def rate_interval(events: int, n: int) -> tuple[float, float]:
    """The exact two-sided 1 - ALPHA interval of a rate (Clopper and Pearson 1934)."""
    return rate_lower(events, n, ALPHA / 2), rate_upper(events, n, ALPHA / 2)


def drop_upper(only_reference_right: float, only_variant_right: float, n: float, alpha: float = ALPHA) -> float:
    """The one-sided upper 1 - alpha bound on the drop p_b - p_c of accuracy, from paired answers on n images.

    b: images that only the reference got right, c: only the variant. The bound is the Clopper-Pearson upper bound of
    p_b minus the lower bound of p_c, each at alpha / 2: by the union bound (Bonferroni) the pair covers with at least
    1 - alpha whatever the two rates and their correlation are, at the price of being a little wide.
    """
    if only_reference_right + only_variant_right > n:
        raise ValueError(f"{only_reference_right} and {only_variant_right} discordant images of {n}: more than all")
    return rate_upper(only_reference_right, n, alpha / 2) - rate_lower(only_variant_right, n, alpha / 2)


def drop_lower(only_reference_right: float, only_variant_right: float, n: float, alpha: float = ALPHA) -> float:
    """The one-sided lower 1 - alpha bound on the same drop: minus the upper bound with the two counts exchanged."""
    return -drop_upper(only_variant_right, only_reference_right, n, alpha)


def change_interval(only_before: int, only_after: int, n: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The two-sided 1 - alpha interval of the change p_after - p_before of accuracy, from paired answers on n images.

    ``only_before``: images right before and wrong after. Its limits are ``drop_upper``'s at alpha / 2 each.
    """
    return (-drop_upper(only_before, only_after, n, alpha / 2), drop_upper(only_after, only_before, n, alpha / 2))


def mcnemar_p(only_before: int, only_after: int) -> float:
    """The exact two-sided p of McNemar's test: were the discordant images as likely to go the one way as the other?

    Twice the binomial tail at one half, at most 1 (McNemar, Psychometrika 12, 1947; the exact form after Cochran,
    1950); 1 without a discordant image. A large p is no evidence of equality.
    """
    from scipy.special import bdtr

    discordant = only_before + only_after
    return min(1.0, 2 * float(bdtr(min(only_before, only_after), discordant, 0.5))) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values in their order, corrected for their number (Holm, Scand. J. Statist. 6, 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def drop_decision(
    only_reference_right: float, only_variant_right: float, n: float, limit: float, alpha: float = ALPHA
) -> Decision:
    """Is the drop within ``limit`` (a share)? met: its upper bound is; not-met: not even its lower bound is."""
    if drop_upper(only_reference_right, only_variant_right, n, alpha) <= limit:
        return "met"
    return "not-met" if drop_lower(only_reference_right, only_variant_right, n, alpha) > limit else "undecided"


def needed_n(
    only_reference_right: int, only_variant_right: int, n: int, limit: float, alpha: float = ALPHA
) -> int | None:
    """About how many images would decide, at the rates seen on these n. None: not even ten million would."""
    rate_b, rate_c = only_reference_right / n, only_variant_right / n

    def decided(images: int) -> bool:
        lost = rate_b * images
        gained = min(rate_c * images, images - lost)  # where all are discordant, rounding may make them more than all
        return drop_decision(lost, gained, images, limit, alpha) != "undecided"

    low, high = 0, n
    while not decided(high):
        low, high = high, 2 * high
        if high > _MOST_IMAGES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def median_interval(samples: Sequence[float]) -> Interval:
    """The median of positive measurements with its two-sided 95 % limits, in their unit.

    Six or more: order statistics, exact for any distribution (Conover, Practical Nonparametric Statistics, 3.2), so
    the true coverage is 95 % or a little more. Two to five: Student's t on the logarithms, which takes them to be
    log-normal. One: no limits. Raises ValueError for none, or for a value that is not positive and finite.
    """
    ordered = sorted(samples)
    n = len(ordered)
    if n == 0 or not all(0 < value < math.inf for value in ordered):
        raise ValueError(f"a median needs positive, finite samples, not {list(samples)}")
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n == 1:
        return Interval(median=median, low95=None, high95=None, n=1)
    low, high = _order_limits(ordered) if n >= 6 else _log_t_limits(ordered)
    return Interval(median=median, low95=low, high95=high, n=n)


def _order_limits(ordered: list[float]) -> tuple[float, float]:
    from scipy.special import bdtr

    n = len(ordered)
    rank = 0  # places to drop at each end: the most for which P(Binomial(n, 1/2) <= rank) stays within 2.5 %
    while bdtr(rank + 1, n, 0.5) <= ALPHA / 2:
        rank += 1
    return ordered[rank], ordered[n - 1 - rank]


def _log_t_limits(ordered: list[float]) -> tuple[float, float]:
    from scipy.special import stdtrit

    logs = [math.log(value) for value in ordered]
    n = len(logs)
    mean = math.fsum(logs) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in logs) / (n - 1))
    reach = float(stdtrit(n - 1, 1 - ALPHA / 2)) * spread / math.sqrt(n)
    return math.exp(mean - reach), math.exp(mean + reach)


def call_time(seconds: Sequence[float]) -> CallTime | None:
    """Median, p95 and p99 of calls, in milliseconds, with one-sided 95 % upper limits; None without a call."""
    if not seconds:
        return None
    ordered = sorted(1e3 * call for call in seconds)
    median, p95, p99 = (upper(ordered, share) for share in (0.5, 0.95, 0.99))
    return CallTime(n=len(ordered), median=median, p95=p95, p99=p99)


def upper(ordered: Sequence[float], share: float) -> UpperLimit:
    """The quantile of sorted values, and the smallest of them that lies above it with 95 % confidence.

    The k-th smallest of n lies above the quantile unless k or more of n lie below it, so k is the smallest with
    P(Binomial(n, share) < k) >= 0.95 (David and Nagaraja, Order Statistics, 2003, 7.1). Where not even the largest
    does, as below 59 values for p95 and 299 for p99, the limit is None and with it the quantile: undecided.
    """
    from scipy.special import bdtr

    n = len(ordered)
    for k in range(1, n + 1):
        if bdtr(k - 1, n, share) >= 1 - ALPHA:
            return UpperLimit(value=float(np.quantile(ordered, share)), upper95=ordered[k - 1])
    return UpperLimit(value=float(np.quantile(ordered, share)) if share == 0.5 else None, upper95=None)


def _check(events: float, n: float) -> None:
    if not (0 <= events <= n and n > 0):
        raise ValueError(f"{events} events in {n} trials: give 0 <= events <= trials, and at least one trial")

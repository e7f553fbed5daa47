"""Percentiles of the time of a call with upper limits that assume nothing of its distribution."""

from collections.abc import Sequence

import numpy as np

from isobatch.pipeline.records.study import CallTime, UpperLimit

CONFIDENCE = 0.95


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
        if bdtr(k - 1, n, share) >= CONFIDENCE:
            return UpperLimit(value=float(np.quantile(ordered, share)), upper95=ordered[k - 1])
    return UpperLimit(value=float(np.quantile(ordered, share)) if share == 0.5 else None, upper95=None)

"""At which N a variant may be run under a policy, and what it costs there as far as the evidence's passes tell."""

from isobatch.pipeline.records.study import Cost, Policy
from isobatch.pipeline.records.wording import number

NEAR = 2.0
"""Who takes longer than so many times the fastest is clearly slower."""

_MOST, _WITHIN = 3, 1.15  # of the N worth a preliminary: how many, and how near to the best
_SAFELY = 0.95  # of the limit: what a preliminary time has to keep, so that the race's own limit keeps it too


def admissible(cost: Cost, policy: Policy) -> dict[int, float]:
    """By N: the median seconds of a call in the passes, where the objective and the limit on latency leave N open.

    N that keep the limit safely, if there are any; else those that keep it at all; else the one of the shortest call,
    where a race may show that it keeps it.
    """
    seconds = {int(n): int(n) / speed.median for n, speed in cost.throughput_img_s.items() if speed.median > 0}
    if policy.objective == "latency":
        seconds = {1: cost.latency_ms.median / 1e3} if cost.latency_ms else {}
    if policy.max_latency_ms is None:
        return seconds
    limit = policy.max_latency_ms / 1e3
    for share in (_SAFELY, 1.0):
        if within := {n: call for n, call in seconds.items() if call <= share * limit}:
            return within
    shortest = min(seconds, key=lambda n: seconds[n], default=0)
    return {shortest: seconds[shortest]} if shortest and seconds[shortest] <= NEAR * limit else {}


def roughly(cost: Cost | None, policy: Policy) -> tuple[int, float] | None:
    """The best open N and seconds an image there, by the passes; None where nothing was timed or no N is open."""
    open_to = admissible(cost, policy) if cost else {}
    if not open_to:
        return None
    best = min(open_to, key=lambda n: open_to[n] / n)
    return best, open_to[best] / best


def promising(cost: Cost, policy: Policy) -> list[int]:
    """The N worth a preliminary: the best of the passes, and up to three in all that are nearly as good there."""
    open_to = admissible(cost, policy)
    order = sorted(open_to, key=lambda n: open_to[n] / n)
    best = open_to[order[0]] / order[0] if order else 0.0
    return [n for n in order[:_MOST] if open_to[n] / n <= _WITHIN * best]


def falls_short(cost: Cost | None, policy: Policy) -> str:
    """Which limit on time is missed at the best open N, by the passes; empty where none is."""
    best, limit, demanded = roughly(cost, policy), policy.max_latency_ms, policy.min_throughput_img_s
    if best is None and limit is None:
        return "it was not timed"
    if best is None or (limit is not None and best[0] * best[1] > limit / 1e3):
        return f"latency: no tested N has a call within {number(limit or 0.0)} ms"
    n, seconds = best
    if demanded is not None and seconds * demanded > 1:
        return f"throughput: {number(1 / seconds)} img/s at N = {n}, below the {number(demanded)} img/s demanded"
    return ""

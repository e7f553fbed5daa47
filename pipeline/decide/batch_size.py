"""At which N a variant may be run under a policy, and what it costs there as far as the evidence's passes tell."""

from isobatch.pipeline.records.study import Cost, Policy

NEAR = 2.0
"""Who takes longer than so many times the fastest is clearly slower."""

_SAFELY = 0.95  # of the limit: what a preliminary time has to keep, so that the race's own limit keeps it too


def call_seconds(cost: Cost) -> dict[int, float]:
    """By N: the median seconds of a call in the passes, for orientation."""
    seconds = {int(n): int(n) / interval.median for n, interval in cost.throughput_img_s.items() if interval.median > 0}
    if cost.latency_ms is not None:
        seconds.setdefault(1, cost.latency_ms.median / 1e3)
    return dict(sorted(seconds.items()))


def admissible(cost: Cost, policy: Policy) -> dict[int, float]:
    """By N: the seconds of a call, at those N that the objective and the limit on latency leave open.

    N that keep the limit safely, if there are any; else those that keep it at all.
    """
    seconds = call_seconds(cost)
    if policy.objective == "latency":
        seconds = {1: cost.latency_ms.median / 1e3} if cost.latency_ms else {}
    if policy.max_latency_ms is None:
        return seconds
    limit = policy.max_latency_ms / 1e3
    safe = {n: call for n, call in seconds.items() if call <= _SAFELY * limit}
    return safe or {n: call for n, call in seconds.items() if call <= limit}


def roughly(cost: Cost | None, policy: Policy) -> tuple[int, float] | None:
    """The best open N and seconds an image there, by the passes; None where nothing was timed or no N is open."""
    open_to = admissible(cost, policy) if cost else {}
    if not open_to:
        return None
    best = min(open_to, key=lambda n: open_to[n] / n)
    return best, open_to[best] / best


def promising(cost: Cost, policy: Policy, most: int = 3, within: float = 1.15) -> list[int]:
    """The N worth a preliminary: the best of the passes, and up to ``most`` in all that are nearly as good there."""
    open_to = admissible(cost, policy)
    order = sorted(open_to, key=lambda n: open_to[n] / n)
    best = open_to[order[0]] / order[0] if order else 0.0
    return [n for n in order[:most] if open_to[n] / n <= within * best]

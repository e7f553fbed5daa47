"""What the choice does at its N, and what it costs or gains against another, by the race where both were in it."""

import math
from collections.abc import Sequence

import numpy as np

from isobatch.pipeline.compare.statistics import call_time, median_interval
from isobatch.pipeline.decide.batch_size import promising, roughly
from isobatch.pipeline.decide.contenders import Standings, failing
from isobatch.pipeline.decide.race import ratios, spread_of, table
from isobatch.pipeline.records.study import Against, AtWork, Contestant, Interval, Policy, VariantResult

REFERENCE_PRECISION = "fp32"


def at_work(raced: Contestant | None) -> AtWork | None:
    """What a contestant did at its N; None where it was not raced to the end."""
    if raced is None or raced.dropped or not raced.call_s:
        return None
    timed = call_time(raced.more_s or raced.call_s)
    assert timed is not None
    return AtWork(
        batch_size=raced.batch_size,
        call_ms=timed,
        throughput_img_s=median_interval([raced.batch_size / seconds for seconds in raced.call_s]),
        peak_memory_bytes=raced.peak_memory_bytes,
        load_s=raced.load_s,
    )


def price_of_stability(standings: Standings, chosen: str) -> Against | None:
    """The chosen one against the fastest that meets every demand except stability; None where that is itself.

    Where size is what is asked for, against the fastest that is as small.
    """
    policy, raced = standings.policy, standings.raced
    anything = policy.model_copy(update={"stability": "none", "max_latency_p99_ms": None})
    others = [other for other in standings.every if not failing(other, anything, raced.get(other.name))]
    if policy.objective == "size":
        largest = _bytes(standings.find(chosen)) * (1 + policy.cost_margin / 100)
        others = [other for other in others if _bytes(other) <= largest]
    if (mine := raced.get(chosen)) and _whole(mine):
        against = _raced(mine, [raced[other.name] for other in others if other.name in raced])
    else:
        against = _by_passes(standings.find(chosen), others, policy)
    return against if against and against.ratio.median < 1 else None


def speed_up(standings: Standings, chosen: str) -> Against | None:
    """The chosen one against the fastest variant of the reference precision; None where it is of that itself.

    None too where other programs took time from the calls that compare the two, or these leave open which is faster:
    fp32 beside a busy neighbour may seem to take a hundred times its time.
    """
    mine, race, policy = standings.find(chosen), standings.race, standings.policy
    if mine.precision == REFERENCE_PRECISION:
        return None
    if race is not None and (race.reference_unsteady if race.against_reference else race.unsteady):
        return None
    others = [v for v in standings.every if v.precision == REFERENCE_PRECISION and _usable(v)]
    alone = race.against_reference if race else []
    pair = {contestant.variant: contestant.model_copy(update={"waited_s": []}) for contestant in alone}
    at = promising(mine.cost, policy) if mine.cost else []  # under another policy than that of the race another N
    raced = pair if chosen in pair and pair[chosen].batch_size in at else standings.raced
    rivals = [raced[other.name] for other in others if other.name in raced]
    against = _raced(raced[chosen], rivals) if chosen in raced and _whole(raced[chosen]) else None
    if against is not None and (against.ratio.low95 or 0) <= 1 <= (against.ratio.high95 or math.inf):
        return None  # the interval does not tell which is faster
    return against or _by_passes(mine, others, policy)


def _usable(variant: VariantResult) -> bool:
    return variant.role == "candidate" and variant.verdict not in (None, "invalid", "not-repeatable")


def _whole(contestant: Contestant) -> bool:
    return bool(contestant.call_s) and contestant.dropped is None


def _raced(mine: Contestant, rivals: Sequence[Contestant]) -> Against | None:
    """Against the fastest of these in the same race; None where none of them ran to its end."""
    whole = [rival for rival in rivals if rival is not mine and _whole(rival) and len(rival.call_s) == len(mine.call_s)]
    against = [Against(variant=contestant.variant, ratio=_ratio(mine, contestant), raced=True) for contestant in whole]
    return min(against, key=lambda pair: pair.ratio.median, default=None)


def _ratio(mine: Contestant, other: Contestant) -> Interval:
    """Images a second of one over those of the other, with 95 % limits that hold for another race too."""
    pair, waited = (mine, other), bool(mine.waited_s and other.waited_s)
    sizes = [contestant.batch_size for contestant in pair]
    compared = ratios(
        table([contestant.call_s for contestant in pair], sizes),
        spread_of(waited),  # known only where they were unsteady
        table([contestant.waited_s for contestant in pair], sizes) if waited else None,
    )
    median, low, high = float(compared.ratio[1] / compared.ratio[0]), None, None
    if (drawn := compared.resampled) is not None:
        low, high = (float(limit) for limit in np.quantile(drawn[:, 1] / drawn[:, 0], (0.025, 0.975)))
    return Interval(median=median, low95=low and min(low, median), high95=high and max(high, median), n=compared.rounds)


def _by_passes(chosen: VariantResult, others: Sequence[VariantResult], policy: Policy) -> Against | None:
    """Roughly, as the times of the passes have it, which were not taken in turn."""
    mine = roughly(chosen.cost, policy)
    timed = {other.name: best[1] for other in others if other is not chosen and (best := roughly(other.cost, policy))}
    if mine is None or not timed:
        return None
    fastest = min(timed, key=lambda name: timed[name])
    ratio = Interval(median=timed[fastest] / mine[1], low95=None, high95=None, n=1)
    return Against(variant=fastest, ratio=ratio, raced=False)


def _bytes(variant: VariantResult) -> int:
    return variant.cost.size_bytes if variant.cost else 0

"""The choice among candidates, a pure function: the cheapest, then what is better among those shown to be as cheap."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.statistics import ALPHA, holm, mcnemar_p
from isobatch.pipeline.decide.race import Ratios, Standing, ratios
from isobatch.pipeline.records.study import Interval

CLEARLY_LESS_ERROR = 0.9
"""An error is clearly smaller than another below so much of it."""

Costs = NDArray[np.float64]
Criterion = Literal["only-candidate", "speed", "stability", "accuracy", "error", "size", "passes"]


@dataclass(frozen=True, eq=False)
class Contender:
    """A candidate that meets every demand but cost, by what it is chosen."""

    name: str
    seconds: tuple[float, ...] = ()  # one a round of the race; empty where it was not raced
    waited: tuple[float, ...] = ()  # as ``ratios`` has it; empty where times were steady
    roughly: float | None = None  # the seconds as the passes had them
    rank: int = 0  # of its stability, 0 is best
    right: NDArray[np.bool_] | None = None  # which labelled images it answers rightly; None: not known
    error: float | None = None  # the median relative error against the reference; None: not known
    size: int = 0


@dataclass(frozen=True)
class Choice:
    """What is chosen, by what, and how sure that is."""

    chosen: str
    leader: str
    decided_by: Criterion
    runner_up: str | None
    standings: dict[str, Standing]  # of all that were raced, towards ``leader``
    ratios: Ratios | None
    raced: tuple[str, ...]
    share: float | None = None  # of resamples that choose the same; None without a race of enough rounds of several
    resamples: int = 0

    def times(self, name: str) -> Interval:
        """A contestant's time over the leader's, with its limits."""
        assert self.ratios is not None
        at, (ratio, low, high) = self.raced.index(name), (self.ratios.ratio, self.ratios.low, self.ratios.high)
        limits = (None, None) if low is None or high is None else (float(low[at]), float(high[at]))
        return Interval(median=float(ratio[at]), low95=limits[0], high95=limits[1], n=self.ratios.rounds)


def choose(contenders: Sequence[Contender], margin: float, by_size: bool = False, spread: float = 0.0) -> Choice:
    """The choice among at least one contender; ``margin``: the share of cost (0.05) within which two count as equal.

    ``by_size``: only the smallest and those within the margin of it are eligible; among these, cost decides as ever.
    ``spread``: of a cost from race to race. Those that were raced go before those that were not. Raises ValueError
    without a contender.
    """
    if not contenders:
        raise ValueError("there is nothing to choose from")
    every = len(contenders)
    if by_size:
        contenders = small(contenders, margin)
    alone: Criterion = "size" if every > 1 else "only-candidate"
    rounds = max(len(contender.seconds) for contender in contenders)
    raced = [contender for contender in contenders if rounds and len(contender.seconds) == rounds]
    if not raced:
        return _by_passes(contenders, alone)
    waited = np.array([c.waited for c in raced]).T if all(c.waited for c in raced) else None
    compared = ratios(np.array([c.seconds for c in raced]).T, spread, waited)
    decide = _decider(raced, compared, margin)
    names = tuple(contender.name for contender in raced)
    standings = {name: compared.standing(at, margin) for at, name in enumerate(names)}
    chosen, criterion = decide(compared.leader, _tied(compared, compared.ratio, margin))
    share, resamples, others = None, 0, Counter[int]()
    if compared.resampled is not None and len(raced) > 1:
        resamples = len(compared.resampled)
        others = Counter(decide(int(row.argmin()), _tied(compared, row, margin))[0] for row in compared.resampled)
        share = others.pop(chosen, 0) / resamples
    second = others.most_common(1)[0][0] if others else _second(compared, chosen)
    if len(raced) == 1:  # what the others lack, the times of the passes said
        criterion = alone if len(contenders) == 1 else "passes"
    return Choice(
        chosen=names[chosen],
        leader=names[compared.leader],
        decided_by=criterion,
        runner_up=None if second is None else names[second],
        standings=standings,
        ratios=compared,
        raced=names,
        share=share,
        resamples=resamples,
    )


def small(contenders: Sequence[Contender], margin: float) -> list[Contender]:
    """The smallest, and those within the margin of it: who is eligible where size is what is asked for."""
    smallest = min(contender.size for contender in contenders)
    return [contender for contender in contenders if contender.size <= smallest * (1 + margin)]


def _by_passes(contenders: Sequence[Contender], alone: Criterion) -> Choice:
    """Without a race: the cheapest in the passes, for orientation; ties are not shown, so none is broken."""
    order = sorted(contenders, key=lambda contender: np.inf if contender.roughly is None else contender.roughly)
    only: Criterion = alone if len(order) == 1 else "passes"
    second = order[1].name if len(order) > 1 else None
    return Choice(order[0].name, order[0].name, only, second, {}, None, ())


def _second(compared: Ratios, chosen: int) -> int | None:
    """Of the others the cheapest."""
    others = [at for at in range(len(compared.ratio)) if at != chosen]
    return min(others, key=lambda at: float(compared.ratio[at]), default=None)


def _tied(compared: Ratios, ratio: NDArray[np.float64], margin: float) -> frozenset[int]:
    """Those shown to be as fast as the leader of these ratios: by their intervals, and in this resample too."""
    shown = [compared.standing(at, margin) in ("leader", "as-fast") for at in range(len(ratio))]
    return frozenset(at for at, value in enumerate(ratio) if shown[at] and value <= 1 + margin)


def _decider(
    raced: Sequence[Contender], compared: Ratios, margin: float
) -> Callable[[int, frozenset[int]], tuple[int, Criterion]]:
    """From the leader and those as fast to the one chosen and what decided: remembered, as resamples ask the same."""

    @cache
    def decide(leader: int, tied: frozenset[int]) -> tuple[int, Criterion]:
        left, first = set(tied | {leader}), leader
        while True:
            chosen, criterion = _best(raced, first, sorted(left), compared.ratio, margin)
            if len(left) == 1 or not dominated(chosen, tied):
                return chosen, "stability" if criterion == "speed" and first != leader else criterion
            left.remove(chosen)
            first = min(left, key=lambda at: float(compared.ratio[at])) if chosen == first else first

    def dominated(at: int, tied: frozenset[int]) -> bool:
        no_dearer = [
            other for other in range(len(raced)) if other in tied or compared.ratio[other] <= compared.ratio[at]
        ]
        rivals = [raced[other] for other in no_dearer if other != at]
        return any(dominates(rival, raced[at], margin, ALPHA / len(rivals)) for rival in rivals)

    return decide


def dominates(contender: Contender, other: Contender, margin: float, alpha: float = ALPHA) -> bool:
    """Whether one that costs no more equals or beats another in stability, accuracy, error and size, and clearly in
    one of them. What is not known of one and known of the other neither equals nor beats. ``alpha``: of the accuracy.
    """
    if (contender.right is None) != (other.right is None) or (contender.error is None) != (other.error is None):
        return False
    mine, yours = hits(contender, other) or (0, 0)
    equals = (
        contender.rank <= other.rank
        and mine >= yours
        and (contender.error or 0.0) <= (other.error or 0.0)
        and contender.size <= other.size
    )
    clearly = (
        contender.rank < other.rank
        or p_more_accurate(contender, other) <= alpha
        or clearly_less_error(contender, other)
        or contender.size * (1 + margin) < other.size
    )
    return equals and clearly


def _best(
    raced: Sequence[Contender], leader: int, tied: Sequence[int], cost: Costs, margin: float
) -> tuple[int, Criterion]:
    """Accuracy against the leader, else error, else size, else the leader itself.

    Of several that are better in one of these, it is asked again, the cheapest of them being the leader: what separates
    them by less than that decides nothing.
    """
    first = raced[leader]

    def among(winners: Sequence[int]) -> int:
        return _best(raced, min(winners, key=lambda at: cost[at]), winners, cost, margin)[0]

    others = [at for at in sorted(tied) if at != leader]
    better = holm([p_more_accurate(raced[at], first) for at in others])
    worse = holm([p_more_accurate(first, raced[at]) for at in others])
    if winners := [at for at, p in zip(others, better, strict=True) if p <= ALPHA]:
        return among(winners), "accuracy"
    # one that is significantly less accurate wins nothing by its error, nor one of more error by its size
    equal = [at for at, p in zip(others, worse, strict=True) if p > ALPHA]
    if winners := [at for at in equal if clearly_less_error(raced[at], first)]:
        return among(winners), "error"
    equal = [at for at in equal if not clearly_less_error(first, raced[at])]
    if winners := [at for at in equal if raced[at].size * (1 + margin) < first.size]:
        return among(winners), "size"
    return leader, "speed"


def shared(contender: Contender, other: Contender) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Which of the labelled images that both have seen either answers rightly; None where one has seen none.

    All are run in one drawn order, and one whose drop is decided goes no further: so the first of them.
    """
    if contender.right is None or other.right is None:
        return None
    n = min(len(contender.right), len(other.right))
    return contender.right[:n], other.right[:n]


def hits(contender: Contender, other: Contender) -> tuple[int, int] | None:
    """How many of the images that both have seen each answers rightly; None where one has seen none."""
    seen = shared(contender, other)
    return None if seen is None else (int(seen[0].sum()), int(seen[1].sum()))


def p_more_accurate(contender: Contender, other: Contender) -> float:
    """McNemar's exact p where ``contender`` is right more often than ``other`` on the images both have seen; else 1."""
    if (seen := shared(contender, other)) is None:
        return 1.0
    mine, yours = seen
    gained, lost = int((mine & ~yours).sum()), int((yours & ~mine).sum())
    return mcnemar_p(lost, gained) if gained > lost else 1.0


def clearly_less_error(contender: Contender, other: Contender) -> bool:
    """Whether its error against the reference is smaller by more than what counts as equal."""
    return (
        contender.error is not None and other.error is not None and contender.error < CLEARLY_LESS_ERROR * other.error
    )

"""What became of one candidate of a rung, in a worker and for its parent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.repair.crossing import Attempt, Making
from isobatch.pipeline.repair.records import free_limits, objective_cost
from isobatch.pipeline.repair.rungs import Candidate
from isobatch.pipeline.repair.verify import ENOUGH_PAIRS, Verified


@dataclass(frozen=True)
class Tried:
    """One candidate of a rung, or why the rung was none. ``ratios``: seconds repaired over native, by N."""

    rung: str
    why: str = ""
    candidate: Candidate | None = None
    verified: tuple[Verified, ...] = ()  # by input set and thread count
    ratios: Mapping[int, list[float]] | None = None
    recomputed: float | None = None
    out_of_time: bool = False
    too_dear: bool = False  # not verified: by a few timed calls it cannot win
    digest: str = ""  # SHA-256 of the rewritten graph, where the repair is one
    failed: bool = False  # it could not be carried out, as ``why`` says

    @property
    def holds(self) -> bool | None:
        """Whether it kept what it is to keep, over all of the scope. None: it was not run."""
        if self.candidate is None or not self.verified:
            return None
        return all(result.batch_invariant if self.candidate.bitwise else result.top1_stable for result in self.verified)

    @property
    def cheap(self) -> bool:
        """Whether it holds bitwise at next to no cost, as far as its times can tell: see ``_near_end``."""
        if not self.holds or not self.ratios or self.candidate is None or not self.candidate.bitwise:
            return False
        limits = free_limits(self.ratios)
        return all(_near_end(pairs) <= limits[n] for n, pairs in self.ratios.items())

    def cost(self, objective: str) -> float:
        """See ``objective_cost``."""
        return objective_cost(self.ratios or {}, objective)


def _near_end(ratios: Sequence[float]) -> float:
    """The lower 95 % limit of the median; the median itself of ratios too few for one that is not wide beyond use."""
    interval = median_interval(ratios)
    few = interval.low95 is None or interval.n < ENOUGH_PAIRS
    return interval.median if few else float(interval.low95 or 0)


def attempts(tried: Sequence[Tried]) -> list[Attempt]:
    """What can be told of them, for the parent process and the records."""
    return [
        Attempt(
            name=attempt.rung,
            why=attempt.why,
            how=attempt.candidate.how if attempt.candidate else "",
            bitwise=attempt.candidate.bitwise if attempt.candidate else True,
            layers=attempt.candidate.layers if attempt.candidate else (),
            serving=attempt.candidate.serving if attempt.candidate else {},
            delivery=Making(attempt.candidate.change if attempt.candidate else {}, attempt.digest or None),
            holds=attempt.holds,
            verified=attempt.verified,
            ratios={n: tuple(ratios) for n, ratios in (attempt.ratios or {}).items()},
            recomputed=attempt.recomputed,
            out_of_time=attempt.out_of_time,
            too_dear=attempt.too_dear,
            failed=attempt.failed,
        )
        for attempt in tried
    ]

"""Climbing the ladder inside a worker: each rung tried on the live network, verified bitwise, priced where it holds."""

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from isobatch.models.spec.repairable import Digested
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import VariantUnavailable
from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.records.wording import counted, two_decimals
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.records import PROOF, free_limits, objective_cost
from isobatch.pipeline.repair.rungs import Bench, Candidate, DoesNotHold, Rung, all_rungs
from isobatch.pipeline.repair.verify import ENOUGH_PAIRS, OutOfTime, Scope, Verified, study_sizes, time_ratios, verify

_HOPELESS = 1.25  # times the cost of one that holds: a few timed calls are no exact price
_TIME_OVER = "not tried to the end: the time for repairs was over (the repair command has no such limit)"


@dataclass(frozen=True)
class Tried(Attempt):
    """One candidate of a rung, or why the rung was none: an ``Attempt`` with the candidate itself at hand."""

    candidate: Candidate | None = None

    @classmethod
    def by(cls, rung: str, candidate: Candidate, why: str = "", verified: Sequence[Verified] = (), **seen: Any) -> Self:
        """What became of this candidate; ``verified``: by input set and thread count. ``seen``: further fields."""
        told = candidate.how, candidate.bitwise, candidate.layers, candidate.serving, candidate.change
        holds = _all_hold(candidate, verified) if verified else None
        return cls(rung, why, *told, holds=holds, verified=tuple(verified), candidate=candidate, **seen)

    @property
    def cheap(self) -> bool:
        """Whether it holds bitwise at next to no cost, as far as its times can tell: see ``_near_end``."""
        limits = free_limits(self.ratios)
        near = bool(self.ratios) and all(_near_end(pairs) <= limits[n] for n, pairs in self.ratios.items())
        return bool(self.holds) and self.bitwise and near


def needs_no_rival(tried: Sequence[Tried]) -> bool:
    """Whether one is cheap and keeps the outputs of single images: beside one that does not another may be better."""
    return any(attempt.cheap and attempt.as_native for attempt in tried)


def _near_end(ratios: Sequence[float]) -> float:
    """The lower 95 % limit of the median; the median itself of ratios too few for one that is not wide beyond use."""
    interval = median_interval(ratios)
    few = interval.low95 is None or interval.n < ENOUGH_PAIRS
    return interval.median if few else float(interval.low95 or 0)


def attempts(tried: Sequence[Tried]) -> list[Attempt]:
    """What can be told of them, for the parent process."""
    names = [field.name for field in fields(Attempt)]
    return [Attempt(**{name: getattr(attempt, name) for name in names}) for attempt in tried]


def climb(
    bench: Bench,
    scope: Scope,
    seconds: float,
    only: Sequence[str] | None = None,
    rungs: Sequence[Rung] | None = None,
    before: Sequence[Tried] = (),
) -> list[Tried]:
    """Every candidate that was tried, in order, until one is cheap; what ``seconds`` were too few for says so.

    The first candidate of the proof is tried however few they are: without it nobody knows whether the list of origins
    is complete. ``only``: of these rungs. ``before``: what was tried of others. A rung that fails is reported with the
    reason, and the next is tried.
    """
    scope = replace(scope, deadline=min(scope.deadline, time.monotonic() + seconds))
    tried = list(before)
    for rung in all_rungs() if rungs is None else rungs:
        if only is not None and rung.name not in only:
            continue
        if any(attempt.cheap for attempt in tried) and rung.name != PROOF:
            continue
        if why := rung.applies_to(bench):
            tried.append(Tried(rung.name, why))
            continue
        if time.monotonic() > scope.deadline and rung.name != PROOF:
            tried.append(Tried(rung.name, _TIME_OVER, out_of_time=True))
            continue
        try:
            tried += _rung(rung, bench, scope, [attempt for attempt in tried if attempt.holds and attempt.ratios])
        except VariantUnavailable as error:
            tried.append(Tried(rung.name, error.reason))
        except DoesNotHold as error:
            tried.append(Tried(rung.name, str(error), failed=True))
        except Exception as error:  # of one rung; the others go on
            tried.append(Tried(rung.name, " ".join(f"{type(error).__name__}: {error}".split()), failed=True))
    return tried


def _rung(rung: Rung, bench: Bench, scope: Scope, rivals: Sequence[Tried]) -> list[Tried]:
    """The candidates of one rung until one is cheap; none that changes more layers than one that holds."""
    tried: list[Tried] = []
    scope.say(f"{rung.name}: what it would change")
    candidates = rung.apply(bench)
    candidate = next(candidates, None)
    while candidate is not None:
        held = [len(attempt.layers) for attempt in tried if attempt.holds]
        if held and len(candidate.layers) > min(held):
            break
        try:
            rivals = [*rivals, *(attempt for attempt in tried[-1:] if attempt.holds and attempt.ratios)]
            # the proof is given its time, whatever that of pricing is
            within = replace(scope, deadline=math.inf) if rung.name == PROOF and not tried else scope
            tried.append(
                _too_dear(rung.name, candidate, bench, scope, rivals) or _tried(rung.name, candidate, bench, within)
            )
        except VariantUnavailable as error:  # another candidate may do without
            tried.append(Tried.by(rung.name, candidate, error.reason))
        except OutOfTime:
            tried.append(Tried.by(rung.name, candidate, _TIME_OVER, out_of_time=True))
            break
        if tried[-1].cheap or (tried[-1].holds and scope.timed_sizes is not None and not scope.timed_sizes):
            break  # it is not shown to cost anything, or nobody asks what it costs
        candidate = _following(candidates, bool(tried[-1].holds))
    return tried


def _following(candidates: Iterator[Candidate], held: bool) -> Candidate | None:
    """The next candidate; a generator is told whether the last one held."""
    try:
        return candidates.send(held) if isinstance(candidates, Generator) else next(candidates)
    except StopIteration:
        return None


def _too_dear(name: str, candidate: Candidate, bench: Bench, scope: Scope, rivals: Sequence[Tried]) -> Tried | None:
    """That the candidate cannot win, by a few timed calls of it and of the native network; None where it may."""
    rivals = [attempt for attempt in rivals if attempt.bitwise]
    if not scope.screen or not rivals or not candidate.bitwise:
        return None
    scope.say(f"{name}: timing a few calls")
    largest = max(n for attempt in rivals for n in attempt.ratios)
    with candidate.build(bench.runner) as repaired:
        few = replace(scope, pairs=scope.screen, least=scope.screen, deadline=math.inf, done=lambda count: None)
        ratios = time_ratios(bench.runner, repaired, few, sorted({1, largest}))
    mine = objective_cost({n: [min(pairs)] for n, pairs in ratios.items()}, bench.objective)

    def known(attempt: Tried) -> float:
        return objective_cost({n: pairs for n, pairs in attempt.ratios.items() if n in ratios}, bench.objective)

    rival = min(rivals, key=known)
    if mine <= _HOPELESS * known(rival):
        return None
    why = f"not verified: by a few timed calls it costs {two_decimals(mine / known(rival))} x what {rival.name} does"
    return Tried.by(name, candidate, why, too_dear=True)


def _tried(name: str, candidate: Candidate, bench: Bench, scope: Scope) -> Tried:
    verified: list[Verified] = []
    ratios: Mapping[int, list[float]] = {}
    scope.begin()

    def check(native: Any, repaired: Runner, threads: int) -> None:
        for images in scope.compared:
            if not verified or _all_hold(candidate, verified) or not scope.stop_at_first:
                scope.say(f"{name}: verifying on {images.name}, {counted(threads, 'thread')}")
                verified.append(verify(native, repaired, images, scope, bitwise=candidate.bitwise))
                verified[-1].threads = (candidate.serving.threads or threads) * candidate.serving.streams

    with candidate.build(bench.runner) as repaired:
        check(bench.runner, repaired, bench.threads)
        recomputed = getattr(repaired, "recomputed_share", None)
        sha256 = repaired.digest() if isinstance(repaired, Digested) else None
        if _all_hold(candidate, verified):
            scope.say(f"{name}: timing it against the native network")
            sizes = (
                study_sizes(len(scope.sets[0]), scope.batch_sizes) if scope.timed_sizes is None else scope.timed_sizes
            )
            free = free_limits(sizes) if candidate.bitwise else {}
            ratios = time_ratios(bench.runner, repaired, scope, sizes, free)
    for threads, opens in scope.natives.items():
        if not _all_hold(candidate, verified):
            break
        with opens() as native, candidate.build(native) as repaired:
            check(native, repaired, threads)
    priced = {n: tuple(pairs) for n, pairs in ratios.items()}
    return Tried.by(name, candidate, verified=verified, ratios=priced, recomputed=recomputed, sha256=sha256)


def _all_hold(candidate: Candidate, verified: Sequence[Verified]) -> bool:
    return all(result.batch_invariant if candidate.bitwise else result.top1_stable for result in verified)

"""Climbing the ladder inside a worker: each rung tried on the live network, verified bitwise, priced where it holds."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.repairable import Digested
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import VariantUnavailable
from isobatch.pipeline.records.wording import counted, number
from isobatch.pipeline.repair.records import PROOF, choose, free_limits, objective_cost
from isobatch.pipeline.repair.rungs import Bench, Candidate, DoesNotHold, Rung, all_rungs
from isobatch.pipeline.repair.tried import Tried, attempts
from isobatch.pipeline.repair.verify import (
    ENOUGH_S,
    PAIRS,
    OutOfTime,
    Passes,
    Verified,
    every_image,
    study_sizes,
    time_ratios,
    verify,
)

_HOPELESS = 1.25  # times the cost of one that holds: a few timed calls are no exact price
_TIME_OVER = "not tried to the end: the time for repairs was over (the repair command has no such limit)"

Openers = Mapping[int, Callable[[], AbstractContextManager[Runner]]]
"""By thread count: what opens the native network with so many threads."""


@dataclass(frozen=True)
class Scope:
    """Over what a repair is verified, and on what it is priced (the first set). ``natives`` beside the bench's own.

    ``timed_sizes``: the N to price (None: see ``study_sizes``; empty: none is), by ``least`` to ``pairs`` pairs of
    calls, for ``enough_s`` seconds each. ``screen``: so many pairs at a single image and at the largest N come before a
    candidate is verified, once another one holds; what cannot win by these is not. ``begin`` is called before every
    candidate, ``say`` told what is being done.
    """

    sets: Sequence[Images]
    batch_sizes: Sequence[int]
    natives: Openers
    pairs: int = PAIRS
    least: int = 3
    timed_sizes: Sequence[int] | None = None
    passes: Passes = every_image
    stop_at_first: bool = False  # at the first difference of a candidate that is to be bitwise
    deadline: float = math.inf  # of time.monotonic: nothing is begun after it
    screen: int = 0
    enough_s: float = ENOUGH_S
    outcome: Outcome = CLASSES  # what counts as an image's answer
    begin: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda text: None


def climb(
    bench: Bench,
    scope: Scope,
    done: Callable[[int], None],
    seconds: float,
    only: Sequence[str] | None = None,
    rungs: Sequence[Rung] | None = None,
) -> list[Tried]:
    """Every candidate that was tried, in order, until one is cheap; what ``seconds`` were too few for says so.

    The first candidate of the proof is tried however few they are: without it nobody knows whether the list of origins
    is complete. ``only``: of these rungs. A rung that fails is reported with the reason, and the next is tried.
    """
    scope = replace(scope, deadline=min(scope.deadline, time.monotonic() + seconds))
    tried: list[Tried] = []
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
            tried += _rung(rung, bench, scope, done, [attempt for attempt in tried if attempt.holds and attempt.ratios])
        except VariantUnavailable as error:
            tried.append(Tried(rung.name, error.reason))
        except DoesNotHold as error:
            tried.append(Tried(rung.name, str(error), failed=True))
        except Exception as error:  # of one rung; the others go on
            tried.append(Tried(rung.name, " ".join(f"it failed: {type(error).__name__}: {error}".split()), failed=True))
    return tried


def _rung(rung: Rung, bench: Bench, scope: Scope, done: Callable[[int], None], rivals: Sequence[Tried]) -> list[Tried]:
    """The candidates of one rung until one is cheap; none that changes more layers than one that holds."""
    tried: list[Tried] = []
    candidates = rung.apply(bench)
    candidate = next(candidates, None)
    while candidate is not None:
        held = [len(attempt.candidate.layers) for attempt in tried if attempt.holds and attempt.candidate]
        if held and len(candidate.layers) > min(held):
            break
        try:
            rivals = [*rivals, *(attempt for attempt in tried[-1:] if attempt.holds and attempt.ratios)]
            # the proof is given its time, whatever that of pricing is
            within = replace(scope, deadline=math.inf) if rung.name == PROOF and not tried else scope
            tried.append(
                _too_dear(rung.name, candidate, bench, scope, rivals)
                or _tried(rung.name, candidate, bench, within, done)
            )
        except VariantUnavailable as error:  # another candidate may do without
            tried.append(Tried(rung.name, error.reason, candidate))
        except OutOfTime:
            tried.append(Tried(rung.name, _TIME_OVER, candidate, out_of_time=True))
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
    rivals = [attempt for attempt in rivals if attempt.candidate and attempt.candidate.bitwise]
    if not scope.screen or not rivals or not candidate.bitwise:
        return None
    scope.say(f"{name}: timing a few calls")
    images = scope.sets[0]
    largest = max(n for attempt in rivals for n in attempt.ratios or {})
    with candidate.build(bench.runner) as repaired:
        ratios = time_ratios(
            bench.runner, repaired, images, sorted({1, largest}), lambda count: None, scope.screen, least=1, enough_s=0
        )
    mine = objective_cost({n: [min(pairs)] for n, pairs in ratios.items()}, bench.objective)

    def known(attempt: Tried) -> float:
        return objective_cost({n: pairs for n, pairs in (attempt.ratios or {}).items() if n in ratios}, bench.objective)

    rival = min(rivals, key=known)
    if mine <= _HOPELESS * known(rival):
        return None
    why = f"not verified: by a few timed calls it costs {number(mine / known(rival))} x what {rival.rung} does"
    return Tried(name, why, candidate, too_dear=True)


def _tried(name: str, candidate: Candidate, bench: Bench, scope: Scope, done: Callable[[int], None]) -> Tried:
    verified: list[Verified] = []
    ratios: Mapping[int, list[float]] | None = None
    scope.begin()

    def check(native: Any, repaired: Runner, threads: int) -> None:
        for images in scope.sets:
            if not verified or _all_hold(candidate, verified) or not scope.stop_at_first:
                scope.say(f"{name}: verifying on {images.name}, {counted(threads, 'thread')}")
                verified.append(_verify(candidate, native, repaired, images, scope, threads, done))

    with candidate.build(bench.runner) as repaired:
        check(bench.runner, repaired, bench.threads)
        recomputed = share(repaired)
        digest = repaired.digest() if isinstance(repaired, Digested) else ""
        if _all_hold(candidate, verified):
            scope.say(f"{name}: timing it against the native network")
            sizes = (
                study_sizes(len(scope.sets[0]), scope.batch_sizes) if scope.timed_sizes is None else scope.timed_sizes
            )
            ratios = time_ratios(
                bench.runner,
                repaired,
                scope.sets[0],
                sizes,
                done,
                scope.pairs,
                enough_s=scope.enough_s,
                least=scope.least,
                deadline=scope.deadline,
                free=free_limits(sizes) if candidate.bitwise else {},
            )
    for threads, opens in scope.natives.items():
        if not _all_hold(candidate, verified):
            break
        with opens() as native, candidate.build(native) as repaired:
            check(native, repaired, threads)
    return Tried(name, "", candidate, tuple(verified), ratios, recomputed, digest=digest)


def _verify(
    candidate: Candidate,
    native: Runner,
    repaired: Runner,
    images: Images,
    scope: Scope,
    threads: int,
    done: Callable[[int], None],
) -> Verified:
    stop = scope.stop_at_first and candidate.bitwise
    verified = verify(
        native, repaired, images, scope.batch_sizes, done, stop, scope.passes, scope.deadline, scope.outcome
    )
    verified.threads = candidate.serving.get("threads", threads) * candidate.serving.get("streams", 1)
    return verified


def _all_hold(candidate: Candidate, verified: Sequence[Verified]) -> bool:
    return all(result.batch_invariant if candidate.bitwise else result.top1_stable for result in verified)


def share(runner: Any) -> float | None:
    """Of the images run in batches the share that a runner ran again alone; None for one that never does."""
    images, again = getattr(runner, "images", 0), getattr(runner, "recomputed", None)
    return again / images if again is not None and images else None


def best(tried: Sequence[Tried], objective: str) -> Tried | None:
    """The candidate that ``repair_records.choose`` takes of all of them; None where none holds bitwise."""
    chosen = choose(attempts(tried), objective)
    return None if chosen is None else tried[chosen]

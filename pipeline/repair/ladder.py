"""Climbing the ladder inside a worker: each rung tried on the live network, verified bitwise, priced where it holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import VariantUnavailable
from isobatch.pipeline.compare.statistics import median_interval
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.records import FREE_LATENCY, FREE_THROUGHPUT, clearly_cheapest, objective_cost
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung, all_rungs
from isobatch.pipeline.repair.verify import PAIRS, OutOfTime, Passes, Verified, every_image, price, priced_sizes, verify

_PROOF = "surgical"  # tried in any case: that it holds proves the list of origins
CHANGED = 1.25  # what other outputs for single images count as: nothing is known of the accuracy of these
_ENOUGH = 6  # ratios, from which on the limits of their median need no assumption
_TIME_OVER = "not tried to the end: the time for repairs was over (the repair command has no such limit)"

Openers = Mapping[int, Callable[[], AbstractContextManager[Runner]]]
"""By thread count: what opens the native network with so many threads."""


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
    failed: bool = False  # it could not be carried out, as ``why`` says

    @property
    def holds(self) -> bool | None:
        """Whether it kept what it is to keep, over all of the scope. None: it was not run."""
        if self.candidate is None or not self.verified:
            return None
        return all(one.batch_invariant if self.candidate.bitwise else one.top1_stable for one in self.verified)

    @property
    def cheap(self) -> bool:
        """Whether it holds bitwise at next to no cost, as far as its times can tell: see ``_near_end``."""
        if not self.holds or not self.ratios or self.candidate is None or not self.candidate.bitwise:
            return False
        limits = {n: FREE_LATENCY if n == 1 else 1 / FREE_THROUGHPUT for n in self.ratios}
        return all(_near_end(found) <= limits[n] for n, found in self.ratios.items())

    def cost(self, objective: str) -> float:
        """See ``objective_cost``."""
        return objective_cost(self.ratios or {}, objective)


@dataclass(frozen=True)
class Scope:
    """Over what a repair is verified, and on what it is priced (the first set). ``natives`` beside the bench's own.

    ``priced``: the N to price (None: see ``priced_sizes``), by ``least`` to ``pairs`` pairs of calls. ``begin`` is
    called before every candidate, ``say`` told what is being done.
    """

    sets: Sequence[Images]
    batch_sizes: Sequence[int]
    natives: Openers
    pairs: int = PAIRS
    least: int = 3
    priced: Sequence[int] | None = None
    passes: Passes = every_image
    stop_at_first: bool = False  # at the first difference of a candidate that is to be bitwise
    deadline: float = math.inf  # of time.monotonic: nothing is begun after it
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

    ``only``: of these rungs. A rung that fails is reported with the reason, and the next is tried.
    """
    scope = replace(scope, deadline=min(scope.deadline, time.monotonic() + seconds))
    found: list[Tried] = []
    for rung in all_rungs() if rungs is None else rungs:
        if only is not None and rung.name not in only:
            continue
        if any(one.cheap for one in found) and rung.name != _PROOF:
            continue
        if why := rung.applies_to(bench):
            found.append(Tried(rung.name, why))
            continue
        if time.monotonic() > scope.deadline:
            found.append(Tried(rung.name, _TIME_OVER, out_of_time=True))
            continue
        try:
            found += _rung(rung, bench, scope, done)
        except VariantUnavailable as error:
            found.append(Tried(rung.name, error.reason))
        except Exception as error:  # of one rung; the others go on
            found.append(Tried(rung.name, " ".join(f"it failed: {type(error).__name__}: {error}".split()), failed=True))
    return found


def _rung(rung: Rung, bench: Bench, scope: Scope, done: Callable[[int], None]) -> list[Tried]:
    """The candidates of one rung until one is cheap; none that changes more layers than one that holds."""
    found: list[Tried] = []
    candidates = rung.apply(bench)
    candidate = next(candidates, None)
    while candidate is not None:
        held = [len(one.candidate.layers) for one in found if one.holds and one.candidate]
        if held and len(candidate.layers) > min(held):
            break
        try:
            found.append(_tried(rung.name, candidate, bench, scope, done))
        except VariantUnavailable as error:  # another candidate may do without
            found.append(Tried(rung.name, error.reason, candidate))
        except OutOfTime:
            found.append(Tried(rung.name, _TIME_OVER, candidate, out_of_time=True))
            break
        if found[-1].cheap:
            break
        candidate = _following(candidates, bool(found[-1].holds))
    return found


def _following(candidates: Iterator[Candidate], held: bool) -> Candidate | None:
    """The next candidate; a generator is told whether the last one held."""
    try:
        return candidates.send(held) if isinstance(candidates, Generator) else next(candidates)
    except StopIteration:
        return None


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
        if _all_hold(candidate, verified):
            scope.say(f"{name}: timing it against the native network")
            sizes = scope.priced or priced_sizes(len(scope.sets[0]), scope.batch_sizes)
            ratios = price(
                bench.runner,
                repaired,
                scope.sets[0],
                sizes,
                done,
                scope.pairs,
                least=scope.least,
                deadline=scope.deadline,
            )
    for threads, opens in scope.natives.items():
        if not _all_hold(candidate, verified):
            break
        with opens() as native, candidate.build(native) as repaired:
            check(native, repaired, threads)
    return Tried(name, "", candidate, tuple(verified), ratios, recomputed)


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
    found = verify(native, repaired, images, scope.batch_sizes, done, stop, scope.passes, scope.deadline)
    found.threads = candidate.serving.get("threads", threads) * candidate.serving.get("streams", 1)
    return found


def _all_hold(candidate: Candidate, verified: Sequence[Verified]) -> bool:
    return all(one.batch_invariant if candidate.bitwise else one.top1_stable for one in verified)


def share(runner: Any) -> float | None:
    """Of the images run in batches the share that a runner ran again alone; None for one that never does."""
    images, again = getattr(runner, "images", 0), getattr(runner, "recomputed", None)
    return again / images if again is not None and images else None


def best(tried: Sequence[Tried], objective: str) -> Tried | None:
    """Of those that hold bitwise the one of clearly least cost; None where none holds.

    What changes the singles, and so perhaps the accuracy, counts as ``CHANGED`` times as costly.
    """
    held = [one for one in tried if one.holds and one.candidate and one.candidate.bitwise]

    def cost(one: Tried) -> float:
        return one.cost(objective) * (1.0 if all(v.singles_as_native for v in one.verified) else CHANGED)

    return clearly_cheapest(held, cost) if held else None


def _near_end(ratios: Sequence[float]) -> float:
    """The lower 95 % limit of the median; the median itself of ratios too few for one that is not wide beyond use."""
    interval = median_interval(ratios)
    few = interval.low95 is None or interval.n < _ENOUGH
    return interval.median if few else float(interval.low95 or 0)


def tried_json(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """As JSON values, for the parent process."""
    return [
        {
            "name": one.rung,
            "why": one.why,
            "how": one.candidate.how if one.candidate else "",
            "bitwise": one.candidate.bitwise if one.candidate else True,
            "layers": list(one.candidate.layers) if one.candidate else [],
            "serving": dict(one.candidate.serving) if one.candidate else {},
            "holds": one.holds,
            "verified": [
                asdict(v)
                | {"differing": {str(n): c for n, c in v.differing.items()}}
                | {"flipped": {str(n): c for n, c in v.flipped.items()}}
                for v in one.verified
            ],
            "ratios": {str(n): found for n, found in (one.ratios or {}).items()},
            "recomputed": one.recomputed,
            "out_of_time": one.out_of_time,
            "failed": one.failed,
        }
        for one in tried
    ]

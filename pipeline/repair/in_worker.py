"""What runs inside a worker for the ``repair`` command: locate at every thread count, climb the ladder, write."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from isobatch import PROGRAM
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.models.spec.repairable import Deployable
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import RunnerSettings, VariantUnavailable
from isobatch.pipeline.evidence.mixing import mixes
from isobatch.pipeline.explain.findings import Located, Watched
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.wire import Emit
from isobatch.pipeline.repair.crossing import UNREPAIRED, RepairAsked, RepairMade, RepairTold
from isobatch.pipeline.repair.ladder import Tried, attempts, climb, needs_no_rival
from isobatch.pipeline.repair.layers import asking_elsewhere, at_every_count, survey_all
from isobatch.pipeline.repair.records import best
from isobatch.pipeline.repair.rungs import Bench, Candidate, all_rungs
from isobatch.pipeline.repair.verify import Scope, Verified, command_sizes, every_size, verify

_ORIGINS = "surgical"  # the first rung that asks where the difference starts: those before it are tried without
_PAIRS, _LEAST_PAIRS = 15, 6  # from six pairs on a median has a 95 % interval


def repair(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Find the cheapest rung that holds over the scope of ``RepairAsked`` and can be written, and write it.

    Returns ``RepairMade``; emits ``RepairTold``.
    """
    asked = RepairAsked.of(payload)
    with unaltered(asked.artifact, *asked.sets):
        return _repaired(asked, emit).to_json()


def _repaired(asked: RepairAsked, emit: Emit) -> RepairMade:
    sets, outcome = asked.sets, asked.outcome
    values = max(asked.batch_sizes) * max(images.values for images in sets)
    opens = {
        count: partial(open_runner, asked.variant, asked.artifact, RunnerSettings(count), values)
        for count in asked.threads
    }

    def done(count: int) -> None:
        emit(RepairTold(images=count).to_json())

    def say(text: str) -> None:
        emit(RepairTold(doing=text).to_json())

    main = max(asked.threads)
    others = {count: opens[count] for count in asked.threads if count != main}
    scope = Scope(
        sets,
        asked.batch_sizes,
        others,
        _PAIRS,
        _LEAST_PAIRS,
        command_sizes(len(sets[0]), asked.batch_sizes),
        passes=every_size,
        stop_at_first=True,
        outcome=outcome,
        begin=lambda: emit(RepairTold(more=True).to_json()),
        say=say,
        done=done,
    )
    with opens[main]() as runner:
        if asked.rung in (None, UNREPAIRED):
            say("does it need a repair?")
            native = _as_it_is(runner, main, scope)
            if native.holds or asked.rung == UNREPAIRED:
                return _written(asked, [native], runner)
        if why := why_no_shape_repairs(runner, sets[0]):
            return RepairMade((), None, {}, (why,))
        largest = min(len(sets[0]), max(asked.batch_sizes))
        captured = sets[0].read(0, largest)
        bench = Bench(runner, main, captured, asked.batch_sizes, Located({}), {}, asked.objective, outcome=outcome)
        names = [asked.rung] if asked.rung else [rung.name for rung in all_rungs()]
        first = names.index(_ORIGINS) if _ORIGINS in names else len(names)
        tried = climb(bench, scope, math.inf, names[:first])
        if needs_no_rival(tried):
            answer = _written(asked, tried, runner)
            if answer.chosen is not None:
                return answer
        if names[first:] and isinstance(runner, Watched):
            places = at_every_count(bench, scope, [("", captured)])
            located, shapes = survey_all(places, largest, asked.seed, done)
            bench = replace(bench, located=located, shapes=shapes)
            bench = asking_elsewhere(bench, scope, asked.seed, lambda: done(0))
        return _climbed(asked, names[first:], tried, bench, scope)


def _climbed(asked: RepairAsked, names: list[str], tried: list[Tried], bench: Bench, scope: Scope) -> RepairMade:
    """What was tried, these rungs too; where what holds cannot be written to a file, those that were passed over."""
    while True:
        tried = [*tried, *climb(bench, scope, math.inf, names)]
        answer = _written(asked, tried, bench.runner)
        names = [name for name in names if all(attempt.name != name for attempt in tried)]
        if answer.chosen is not None or not names:
            return answer


def _written(asked: RepairAsked, tried: list[Tried], runner: Any) -> RepairMade:
    """The candidate of least cost that holds and can be written; the reasons of those that could not."""
    left, unwritten = list(tried), []
    while (chosen := best(left, asked.objective)) and chosen.candidate:
        left.remove(chosen)
        with chosen.candidate.build(runner) as repaired:
            try:
                if not isinstance(repaired, Deployable):
                    raise VariantUnavailable("no file can be written of it", "")
                serving = repaired.write(Path(asked.folder))
            except VariantUnavailable as error:
                unwritten.append(f"{chosen.name}: {error.reason}")
                continue
        native = None
        with contextlib.suppress(VariantUnavailable):  # without it the memory of the two cannot be compared
            if chosen.name != UNREPAIRED:
                native = runner.write(Path(asked.native))
        return RepairMade(tuple(attempts(tried)), tried.index(chosen), serving, tuple(unwritten), native)
    return RepairMade(tuple(attempts(tried)), None, {}, tuple(unwritten))


def _as_it_is(runner: Runner, threads: int, scope: Scope) -> Tried:
    """The native network verified over the scope, as the rung below all others."""
    verified: list[Verified] = []
    for count, opens in scope.opens(threads, runner).items():
        if not all(result.batch_invariant for result in verified):
            break
        with opens() as native:
            for images in scope.compared:
                if all(result.batch_invariant for result in verified):
                    verified.append(verify(native, native, images, scope))
                    verified[-1].threads = count
    kept: Callable[[Any], Any] = contextlib.nullcontext
    return Tried.by(UNREPAIRED, Candidate(kept, "as it is"), verified=verified)


_CONTROLLED = 8  # images, of which the one that differs most is looked at


def why_no_shape_repairs(runner: Any, images: Images) -> str:
    """Of a network that is not repeatable, or itself mixes images by anything but a dynamic quantization; else ""."""
    rows = images.read(0, min(len(images), _CONTROLLED))
    if any(runner.run(rows).tobytes() != runner.run(rows).tobytes() for _ in range(2)):
        return (
            "not-repeatable: the same call on the same images gives other bytes, which no shape repairs; make it "
            "repeatable first (dropout off, fixed seeds, no state between calls)"
        )
    n = mixes(lambda batch: (runner.run(batch),), rows, 2)
    if n is None:
        return ""
    kinds: set[str] = set()
    if isinstance(runner, Watched):
        runner.watch(rows[:1], lambda layer, inputs, outputs: kinds.add(layer.kind))
    if any("dynamic" in kind.replace("-", "") for kind in kinds):
        return ""
    return (
        f"neighbour-leak: the network itself mixes images (at N = {n} other neighbours change an image's row), which "
        f"no shape repairs; let it compute from each image alone ({PROGRAM} check names the layer that does not)"
    )

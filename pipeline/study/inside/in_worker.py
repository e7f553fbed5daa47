"""What runs inside a worker to explain and repair one variant on one input set: locate, prove complete, price."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.pipeline.compare.batch_classes import finer_classes
from isobatch.pipeline.evidence.by_value import first_round
from isobatch.pipeline.evidence.parts import joined
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.explain.causes import Explanation
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched, why_closed
from isobatch.pipeline.explain.locate import locate, look_around
from isobatch.pipeline.explain.neighbour_effect import neighbour_effect
from isobatch.pipeline.explain.origins import explain_origins
from isobatch.pipeline.explain.reproducer.write import FOLDER, RUNTIMES, Starter, write_reproducers
from isobatch.pipeline.explain.search_bounds import SEARCHES
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.wire import Emit, tell_images
from isobatch.pipeline.records.study import Growth
from isobatch.pipeline.repair.ladder import Tried, attempts, climb
from isobatch.pipeline.repair.layers import asking_elsewhere
from isobatch.pipeline.repair.records import PROOF
from isobatch.pipeline.repair.rungs import Bench, all_rungs
from isobatch.pipeline.repair.shapes import Shapes, measure_shapes
from isobatch.pipeline.repair.verify import Scope, every_image
from isobatch.pipeline.study.inside.crossing import LayerSeen, LookAsked, Looked
from isobatch.pipeline.study.looked_into import list_is_complete

_LOCATED = 60  # images' worth of work that finding the origins is, roughly, for the estimate of the time left
_ENOUGH_S = 1.0  # of timing one N: what may win is raced, and its price is the race's
_SCREEN = 2  # timed calls, by which a further rung that cannot win is known


def explain_and_repair(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Locate the origins, prove the list complete by repairing exactly those layers, and climb the ladder of repairs.

    ``LookAsked``; returns ``Looked``.
    """
    asked = LookAsked.of(payload)
    with unaltered(asked.artifact, asked.images):
        return _explained(asked, emit).to_json()


def _explained(asked: LookAsked, emit: Emit) -> Looked:
    images, sizes, seed = asked.images, asked.batch_sizes, asked.seed
    search = SEARCHES[asked.explain]
    count = search.captured(sizes, len(images))
    values = max(count, *sizes) * max(image_file.values for image_file in (images, *asked.also))
    spec, folder = find_variant(asked.variant), Path(asked.run_folder)
    opened = open_runner(asked.variant, asked.artifact, asked.settings, values)
    with ExitStack() as stack:  # from here on processes that this one starts have its limits
        told = spec.runtime in RUNTIMES and not spec.compiled  # of others no script can show a layer
        starter = stack.enter_context(Starter(spec.runtime, folder / FOLDER)) if told else None
        runner = stack.enter_context(opened)
        done = tell_images(emit)
        captured, tried_at = images.read(0, count), search.batch_sizes(sizes, count)
        if not isinstance(runner, Watched):
            for rows in (captured[:1], captured):  # what a compiled graph says of itself, it says once it was run
                runner.run(rows)
            return _as_a_whole(asked, runner, captured, done)
        located = locate(runner, captured, tried_at, seed, search, lambda: done(0), around=not asked.repair)
        done(_LOCATED)
        return _Inside(asked, runner, located, captured, tried_at, done, starter).looked()


@dataclass(frozen=True)
class _Inside:
    """A runner that can be looked into, and what was located in it."""

    asked: LookAsked
    runner: Any
    located: Located
    captured: NDArray[np.float32]
    tried_at: Sequence[int]
    done: Callable[[int], None]
    starter: Starter | None

    def looked(self) -> Looked:
        """The origins explained, and repaired where that was asked.

        Their list is proved first: where that fails, the modules around the layers are looked at.
        """
        if not self.asked.repair:
            return self._told()
        begin = time.monotonic()
        bench, scope = self._bench(), _scope(self.asked, self.done)
        tried = climb(bench, scope, self.asked.repair_s, only=(PROOF,))
        if not self._proved(tried) and look_around(self.runner, self.located, self.captured, self.tried_at):
            bench = self._bench()
            tried = climb(bench, scope, self.asked.repair_s, only=(PROOF,))
        spent_s = time.monotonic() - begin
        looked = self._told()
        begin = time.monotonic()
        tried = _climbed(self.asked, bench, scope, self.asked.repair_s - spent_s, tried)
        spent_s += time.monotonic() - begin
        finer = tuple(_finer(layer, bench.shapes) for layer in looked.findings)
        return replace(looked, findings=finer, tried=tuple(attempts(tried)), repair_s=spent_s)

    def _proved(self, tried: Sequence[Tried]) -> bool:
        """Whether the repair of exactly the origins holds, so that nothing around the layers shows in the outputs."""
        return list_is_complete({finding.layer.name for finding in self.located.origins}, tried) is True

    def _bench(self) -> Bench:
        asked, captured = self.asked, self.captured
        shapes = measure_shapes(self.runner, self.located, captured, len(captured), asked.seed)
        seen = asked.settings.threads, captured, asked.batch_sizes, self.located, shapes
        bench = Bench(self.runner, *seen, asked.objective, outcome=asked.outcome)
        return asking_elsewhere(bench, _scope(asked, self.done), asked.seed, partial(self.done, 0))

    def _told(self) -> Looked:
        asked, runner, located, captured = self.asked, self.runner, self.located, self.captured
        threads, seed, folder = asked.settings.threads, asked.seed, Path(asked.run_folder)
        explanations = explain_origins(runner, located, captured, threads, seed)
        scripts = write_reproducers(runner, located, captured, asked.variant, folder, seed, self.starter)
        named = [explanation.mechanism for explanation in explanations.values()]
        effect = neighbour_effect(runner, named, captured, self.tried_at, folder, asked.variant, seed, asked.outcome)
        return Looked(
            locatable=True,
            batch_sizes=tuple(self.tried_at),
            findings=tuple(_seen(finding, explanations) for finding in located.findings.values()),
            growth=tuple(
                Growth(layer=layer, max_abs=largest, relative_l2=share, steps=steps)
                for layer, largest, share, steps in located.growth
            ),
            instrumented_equal=located.instrumented_bitwise_equal,
            reproducers=scripts,
            neighbour_effect=effect,
        )


def _as_a_whole(asked: LookAsked, runner: Any, captured: NDArray[np.float32], done: Callable[[int], None]) -> Looked:
    """The repairs of a network whose layers cannot be looked into: those that change nothing but its calls."""
    why = why_closed(runner, asked.variant)
    if not asked.repair:
        return Looked(locatable=False, why=why)
    begin = time.monotonic()
    unseen = Located({}, True, [])
    threads, sizes = asked.settings.threads, asked.batch_sizes
    bench = Bench(runner, threads, captured, sizes, unseen, {}, asked.objective, outcome=asked.outcome)
    tried = _climbed(asked, bench, _scope(asked, done), asked.repair_s)
    return Looked(locatable=False, why=why, tried=tuple(attempts(tried)), repair_s=time.monotonic() - begin)


def _scope(asked: LookAsked, done: Callable[[int], None]) -> Scope:
    return Scope(
        [asked.images, *asked.also],
        asked.batch_sizes,
        {},
        passes=every_image if asked.thorough else first_round,
        timed_sizes=() if asked.cannot_win else None,
        stop_at_first=True,
        screen=_SCREEN,
        enough_s=_ENOUGH_S,
        outcome=asked.outcome,
        reference=partial(_ruled, asked.references),
        done=done,
    )


def _ruled(references: Mapping[str, tuple[str, ...]], images: Images) -> NDArray[Any] | None:
    """The reference's singles [n, values] of a set, from its files; None where there are none."""
    files = references.get(images.name)
    return joined([read_evidence(Path(file)) for file in files]).singles if files else None


def _climbed(asked: LookAsked, bench: Bench, scope: Scope, seconds: float, before: Sequence[Tried] = ()) -> list[Tried]:
    """What was tried of the ladder, ``before`` among it; of a variant that cannot win only what proves the list of its
    origins.
    """
    why = asked.cannot_win
    rungs = sorted(all_rungs(), key=lambda rung: rung.name != PROOF)  # that the list is complete comes first
    left = [rung for rung in rungs if all(attempt.name != rung.name for attempt in before)]
    tried = climb(bench, scope, seconds, only=(PROOF,) if why else None, rungs=left, before=before)
    return tried + [Tried(rung.name, why, too_dear=True) for rung in left if why and rung.name != PROOF]


def _seen(finding: LayerFinding, explanations: Mapping[str, Explanation]) -> LayerSeen:
    layer = finding.layer
    return LayerSeen(
        layer=layer.name,
        kind=layer.kind,
        signature=layer.signature,
        differing=finding.differing,
        batch_sizes=tuple(finding.batch_sizes),
        classes=tuple(map(tuple, finding.classes)),
        tried=finding.tried,
        max_abs=finding.max_abs,
        max_abs_relative=finding.size or None,
        max_ulp=finding.max_ulp,
        found_by=finding.found_by,
        replayable=finding.replayable,
        explained=explanations.get(layer.name),
    )


def _finer(layer: LayerSeen, shapes: Mapping[str, Shapes]) -> LayerSeen:
    """The layer with the classes of N that its shape was seen to have, too."""
    if (known := shapes.get(layer.signature)) is None:
        return layer
    classes = finer_classes([list(members) for members in layer.classes], sorted(map(sorted, known.classes)))
    return replace(layer, classes=tuple(map(tuple, classes)))

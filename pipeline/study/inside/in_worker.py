"""What runs inside a worker to explain and repair one variant on one input set: locate, prove complete, price."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.compare.batch_classes import finer_classes
from isobatch.pipeline.explain.findings import Located, Watched, why_closed
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.neighbour_effect import neighbour_effect
from isobatch.pipeline.explain.origins import Explained, explain_origins
from isobatch.pipeline.explain.reproducer.write import FOLDER, TEMPLATES, Starter, write_reproducers
from isobatch.pipeline.explain.search_bounds import SEARCHES
from isobatch.pipeline.repair.beyond_scope import look_beyond
from isobatch.pipeline.repair.ladder import Scope, climb
from isobatch.pipeline.repair.other_sizes import asking_elsewhere
from isobatch.pipeline.repair.records import PROOF
from isobatch.pipeline.repair.rungs import Bench, all_rungs
from isobatch.pipeline.repair.shapes import measure_shapes
from isobatch.pipeline.repair.tried import Tried, tried_json
from isobatch.pipeline.repair.verify import by_value, every_image
from isobatch.pipeline.workers.opening import open_runner
from isobatch.pipeline.workers.wire import Emit, read_artifact

_LOCATED = 60  # images' worth of work that finding the origins is, roughly, for the estimate of the time left
_ENOUGH_S = 2.0  # of timing one N: what may win is raced, and its price is the race's
_SCREEN = 2  # timed calls, by which a further rung that cannot win is known


class _Clock:
    """Seconds by step, for those who ask where the time went."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Account what is done inside."""
        begin = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin


def explain_and_repair(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Locate the origins, prove the list complete by repairing exactly those layers, and climb the ladder of repairs.

    Returns the findings as JSON values; for a runner that cannot be looked into {"locatable": false, "why"} and what
    was "tried" of the repairs.
    """
    images, artifact = Images.from_json(payload["images"]), read_artifact(payload["artifact"])
    with unaltered(artifact, images):
        return _explained(payload, artifact, images, emit)


def _explained(payload: dict[str, Any], artifact: Artifact, images: Images, emit: Emit) -> dict[str, Any]:
    sizes: list[int] = payload["batch_sizes"]
    outcome = Outcome.of(payload.get("outcome"))
    spec, search = find_variant(payload["variant"]), SEARCHES[payload["explain"]]
    folder = Path(payload["run_folder"])
    count = search.captured(sizes, len(images))
    values = max(count, *sizes) * max(one.values for one in (images, *map(Images.from_json, payload["also"])))
    opened = open_runner(spec.name, artifact, RunnerSettings.of(payload["settings"]), values)
    with ExitStack() as stack:  # from here on processes that this one starts have its limits
        starter = stack.enter_context(Starter(spec.runtime, folder / FOLDER)) if spec.runtime in TEMPLATES else None
        runner = stack.enter_context(opened)

        def done(count: int) -> None:
            emit({"images": count})

        captured, tried_at = images.read(0, count), search.batch_sizes(sizes, count)
        threads, seed, clock = payload["settings"]["threads"], payload["seed"], _Clock()
        if not isinstance(runner, Watched):
            for rows in (captured[:1], captured):  # what a compiled graph says of itself, it says once it was run
                runner.run(rows)
            why = why_closed(runner, spec.name)
            return {"locatable": False, "why": why, **_as_a_whole(payload, runner, captured, emit)}
        with clock.step("origins"):
            located = locate(runner, captured, tried_at, seed, search, lambda: done(0))
        done(_LOCATED)
        with clock.step("causes"):
            explained = explain_origins(runner, located, captured, threads, seed)
        with clock.step("scripts"):
            scripts = write_reproducers(runner, located, captured, spec.name, folder, seed, starter)
        answer = {"locatable": True, "batch_sizes": tried_at, **_as_json(located, explained)}
        answer["reproducers"] = {name: asdict(one) for name, one in scripts.items()}
        named = [one.explanation.mechanism for one in explained.values()]
        with clock.step("neighbours"):
            answer["neighbour_effect"] = neighbour_effect(
                runner, named, captured, tried_at, folder, spec.name, seed, outcome
            )
        if payload["beyond"]:
            with clock.step("beyond"):
                answer["beyond"] = look_beyond(runner, captured, threads, tried_at, seed, lambda: done(0))
        answer["seconds"] = clock.seconds
        if not payload["repair"]:
            return answer | {"tried": None, "repair_s": 0.0}
        begin = time.monotonic()
        with clock.step("shapes"):
            shapes = measure_shapes(runner, located, captured, count, seed)
        for found in answer["findings"]:
            if (known := shapes.get(found["signature"])) is not None:
                found["classes"] = finer_classes(found["classes"], sorted(map(sorted, known.classes)))
        scope = _scope(payload, images, outcome)
        bench = Bench(runner, threads, captured, tuple(sizes), located, shapes, outcome=outcome)
        bench = asking_elsewhere(bench, scope, seed, lambda: done(0))
        with clock.step("proof and repair"):
            tried = _climbed(payload, bench, scope, done, payload["repair_s"] - (time.monotonic() - begin))
        return answer | {"tried": tried_json(tried), "repair_s": time.monotonic() - begin}


def _as_a_whole(payload: dict[str, Any], runner: Any, captured: NDArray[np.float32], emit: Emit) -> dict[str, Any]:
    """The repairs of a network whose layers cannot be looked into: those that change nothing but its calls."""
    if not payload["repair"]:
        return {"tried": None, "repair_s": 0.0}
    begin = time.monotonic()
    sizes = tuple(payload["batch_sizes"])
    outcome = Outcome.of(payload.get("outcome"))
    bench = Bench(runner, payload["settings"]["threads"], captured, sizes, Located({}, True, []), outcome=outcome)
    scope = _scope(payload, Images.from_json(payload["images"]), outcome)
    tried = _climbed(payload, bench, scope, lambda count: emit({"images": count}), payload["repair_s"])
    return {"tried": tried_json(tried), "repair_s": time.monotonic() - begin}


def _scope(payload: dict[str, Any], images: Images, outcome: Outcome) -> Scope:
    return Scope(
        [images, *(Images.from_json(other) for other in payload["also"])],
        payload["batch_sizes"],
        {},
        passes=every_image if payload["thorough"] else by_value,
        priced=() if payload["cannot_win"] else None,
        stop_at_first=True,
        screen=_SCREEN,
        enough_s=_ENOUGH_S,
        outcome=outcome,
    )


def _climbed(
    payload: dict[str, Any], bench: Bench, scope: Scope, done: Callable[[int], None], seconds: float
) -> list[Tried]:
    """What was tried of the ladder; of a variant that cannot win only what proves the list of its origins."""
    why = payload["cannot_win"]
    rungs = sorted(all_rungs(), key=lambda rung: rung.name != PROOF)  # that the list is complete comes first
    tried = climb(bench, scope, done, seconds, only=(PROOF,) if why else None, rungs=rungs)
    return tried + [Tried(rung.name, why, too_dear=True) for rung in rungs if why and rung.name != PROOF]


def _as_json(located: Located, explained: Mapping[str, Explained]) -> dict[str, Any]:
    findings = [
        {
            "layer": f.layer.name,
            "kind": f.layer.kind,
            "signature": f.layer.signature,
            "differing": {str(n): count for n, count in f.differing.items()},
            "batch_sizes": f.batch_sizes,
            "classes": f.classes,
            "tried": f.tried,
            "max_abs": f.max_abs,
            "max_abs_relative": f.size or None,
            "max_ulp": f.max_ulp,
            "found_by": f.found_by,
            "replayable": f.replayable,
            "explained": explained[f.layer.name].to_json() if f.layer.name in explained else {},
        }
        for f in located.findings.values()
    ]
    growth = [
        {"layer": layer, "max_abs": largest, "relative_l2": share, "steps": steps}
        for layer, largest, share, steps in located.growth
    ]
    return {"findings": findings, "growth": growth, "instrumented_equal": located.instrumented_bitwise_equal}

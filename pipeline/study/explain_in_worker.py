"""What runs inside a worker to explain and repair one variant on one input set: locate, prove complete, price."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isobatch.models.registry import find_variant, load
from isobatch.models.spec.artifact_cache import unaltered
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import Outcome
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.compare.batch_classes import finer_classes
from isobatch.pipeline.explain.findings import Located, Watched
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.neighbour_effect import neighbour_effect
from isobatch.pipeline.explain.origins import Explained, explain_origins
from isobatch.pipeline.explain.reproducer.write import write_reproducers
from isobatch.pipeline.explain.search_bounds import SEARCHES
from isobatch.pipeline.repair.beyond_scope import look_beyond
from isobatch.pipeline.repair.ladder import Scope, climb
from isobatch.pipeline.repair.other_sizes import asking_elsewhere
from isobatch.pipeline.repair.records import PROOF
from isobatch.pipeline.repair.rungs import Bench, all_rungs
from isobatch.pipeline.repair.shapes import measure_shapes
from isobatch.pipeline.repair.tried import Tried, tried_json
from isobatch.pipeline.repair.verify import by_value, every_image
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

    Returns {"locatable": false, "why"} for a runner that cannot be looked into, else the findings as JSON values.
    """
    images, artifact = Images.from_json(payload["images"]), read_artifact(payload["artifact"])
    with unaltered(artifact, images):
        return _explained(payload, artifact, images, emit)


def _explained(payload: dict[str, Any], artifact: Artifact, images: Images, emit: Emit) -> dict[str, Any]:
    sizes: list[int] = payload["batch_sizes"]
    outcome = Outcome.of(payload.get("outcome"))
    spec = find_variant(payload["variant"])
    with load(spec.open)(artifact, RunnerSettings.of(payload["settings"])) as runner:
        if not isinstance(runner, Watched):
            return {"locatable": False, "why": f"the runner of {spec.name} cannot be looked into"}

        def done(count: int) -> None:
            emit({"images": count})

        search = SEARCHES[payload["explain"]]
        count = search.captured(sizes, len(images))
        captured, tried_at = images.read(0, count), search.batch_sizes(sizes, count)
        threads, seed, clock = payload["settings"]["threads"], payload["seed"], _Clock()
        with clock.step("origins"):
            located = locate(runner, captured, tried_at, seed, search, lambda: done(0))
        done(_LOCATED)
        with clock.step("causes"):
            explained = explain_origins(runner, located, captured, threads, seed)
        folder = Path(payload["run_folder"])
        with clock.step("scripts"):
            scripts = write_reproducers(runner, located, captured, spec.name, folder, seed)
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
        sets = [images, *(Images.from_json(other) for other in payload["also"])]
        why = payload["cannot_win"]
        scope = Scope(
            sets,
            sizes,
            {},
            passes=every_image if payload["thorough"] else by_value,
            priced=() if why else None,
            stop_at_first=True,
            screen=_SCREEN,
            outcome=outcome,
            enough_s=_ENOUGH_S,
        )
        bench = Bench(runner, threads, captured, tuple(sizes), located, shapes, outcome=outcome)
        bench = asking_elsewhere(bench, scope, seed, lambda: done(0))
        left_s = payload["repair_s"] - (time.monotonic() - begin)
        rungs = sorted(all_rungs(), key=lambda rung: rung.name != PROOF)  # that the list is complete comes first
        with clock.step("proof and repair"):
            tried = climb(bench, scope, done, left_s, only=(PROOF,) if why else None, rungs=rungs)
        tried += [Tried(rung.name, why, too_dear=True) for rung in rungs if why and rung.name != PROOF]
        return answer | {"tried": tried_json(tried), "repair_s": time.monotonic() - begin}


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

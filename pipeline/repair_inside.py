"""What runs inside a worker for the ``repair`` command: locate at every thread count, climb the ladder, write."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.images import Images
from models.registry import find_variant, load
from models.repairable import Deployable
from models.spec import Artifact, Runner, RunnerSettings, VariantUnavailable
from pipeline.batch_shapes import Shapes, measure_shapes
from pipeline.ladder import Scope, Tried, best, climb, tried_json
from pipeline.locate import Located, Watched, locate
from pipeline.repair import Verified, verify
from pipeline.repairs import Bench, Candidate, all_rungs
from pipeline.worker import Emit, read_artifact

NATIVE = "native"
_PAIRS = 15


def repair(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Find the cheapest rung that holds over the whole scope and can be written; write it to ``payload["file"]``.

    Returns {"tried", "chosen": its index in tried or None, "serving", "unwritten": reasons}.
    """
    sets = [Images.from_json(one) for one in payload["sets"]]
    artifact = read_artifact(payload["artifact"])
    threads: list[int] = payload["threads"]
    opens = {count: partial(_opened, payload["variant"], artifact, count) for count in threads}

    def done(count: int) -> None:
        emit({"images": count})

    main = max(threads)
    others = {count: opens[count] for count in threads if count != main}
    scope = Scope(sets, payload["batch_sizes"], others, _PAIRS, stop_at_first=True)
    with opens[main]() as runner:
        if payload["rung"] in (None, NATIVE):
            native = _as_it_is(runner, main, scope, done)
            if native.holds or payload["rung"] == NATIVE:
                return _written(payload, [native], runner, sets[0])
        if not isinstance(runner, Watched):
            raise VariantUnavailable(f"the runner of {payload['variant']} cannot be looked into", "choose another")
        count = min(len(sets[0]), max(payload["batch_sizes"]))
        captured = sets[0].read(0, count)
        located, shapes = look(opens, main, runner, captured, payload["batch_sizes"], payload["seed"])
        bench = Bench(runner, main, captured, tuple(payload["batch_sizes"]), located, shapes, payload["objective"])
        names = [payload["rung"]] if payload["rung"] else [rung.name for rung in all_rungs()]
        return _climbed(payload, names, bench, scope, done)


def _climbed(
    payload: dict[str, Any], names: list[str], bench: Bench, scope: Scope, done: Callable[[int], None]
) -> dict[str, Any]:
    """What was tried; where what holds cannot be written to a file, the rungs not tried yet as well."""
    tried: list[Tried] = []
    while names:
        tried += climb(bench, scope, done, math.inf, names)
        answer = _written(payload, tried, bench.runner, scope.sets[0])
        names = [name for name in names if all(one.rung != name for one in tried)]
        if answer["chosen"] is not None:
            break
    return answer


def _written(payload: dict[str, Any], tried: list[Tried], runner: Any, images: Images) -> dict[str, Any]:
    """The candidate of least cost that holds and can be written; the reasons of those that could not."""
    left, unwritten = list(tried), []
    while (chosen := best(left, payload["objective"])) and chosen.candidate:
        left.remove(chosen)
        with chosen.candidate.build(runner) as repaired:
            try:
                if not isinstance(repaired, Deployable):
                    raise VariantUnavailable("no file can be written of it", "")
                serving = repaired.write(Path(payload["file"]), images.read(0, 1))
            except VariantUnavailable as error:
                unwritten.append(f"{chosen.rung}: {error.reason}")
                continue
        settings = serving | dict(chosen.candidate.serving)
        return _answer(tried, tried.index(chosen), settings, unwritten)
    return _answer(tried, None, {}, unwritten)


def _answer(tried: list[Tried], chosen: int | None, serving: dict[str, Any], unwritten: list[str]) -> dict[str, Any]:
    return {"tried": tried_json(tried), "chosen": chosen, "serving": serving, "unwritten": unwritten}


def _opened(variant: str, artifact: Artifact, threads: int) -> Runner:
    runner: Runner = load(find_variant(variant).open)(artifact, RunnerSettings(threads))
    return runner


def _as_it_is(runner: Runner, threads: int, scope: Scope, done: Callable[[int], None]) -> Tried:
    """The native network verified over the scope, as the rung below all others."""
    verified: list[Verified] = []

    def check(native: Runner, count: int) -> None:
        for images in scope.sets:
            if all(one.batch_invariant for one in verified):
                verified.append(verify(native, native, images, scope.batch_sizes, done, scope.stop_at_first))
                verified[-1].threads = count

    check(runner, threads)
    for count, opens in scope.natives.items():
        if all(one.batch_invariant for one in verified):
            with opens() as native:
                check(native, count)
    kept: Callable[[Any], Any] = contextlib.nullcontext
    return Tried(NATIVE, "", Candidate(kept, "as it is"), tuple(verified))


def look(
    opens: dict[int, Any],
    main: int,
    runner: Watched,
    images: NDArray[np.float32],
    batch_sizes: Sequence[int],
    seed: int,
) -> tuple[Located, dict[str, Shapes]]:
    """The origins at any thread count, and the classes of N that hold at all of them."""
    sizes = telling(batch_sizes, len(images))
    located = locate(runner, images, sizes, seed)
    shapes = measure_shapes(runner, located, images, len(images), seed)
    for count, opened in opens.items():
        if count == main:
            continue
        with opened() as other:
            elsewhere = locate(other, images, sizes, seed)
            seen = measure_shapes(other, elsewhere, images, len(images), seed)
        for name, finding in elsewhere.findings.items():
            mine = located.findings.get(name)
            if mine is not None and finding.batch_sizes:
                mine.inherited = tuple(sorted({*mine.inherited, *finding.batch_sizes}))
                mine.found_by = mine.found_by or finding.found_by
        for signature, found in seen.items():
            shapes[signature] = shapes[signature].merged(found) if signature in shapes else found
    return located, shapes


def telling(batch_sizes: Sequence[int], n_images: int) -> list[int]:
    """The N to replay every layer at: powers of two and their neighbours, where kernels change; and the largest."""
    near = {n + step for n in (2, 4, 8, 16, 32, 64, 128, 256) for step in (-1, 0, 1)}
    able = [n for n in batch_sizes if 1 < n <= n_images]
    return sorted({n for n in able if n in near} | {*able[-1:]})

"""What runs inside a worker for a switch: turn it, open the engine, read back, and run the passes of a verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from isobatch.models.registry import load
from isobatch.models.spec.images import Images
from isobatch.pipeline.evidence.passes import run_passes
from isobatch.pipeline.evidence.plan import plan_passes
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.race.in_worker import contest, opened
from isobatch.pipeline.workers.wire import Emit

_TURNED = {
    "torch": "isobatch.models.pytorch.switches:turned",
    "onnxruntime": "isobatch.models.ort.switches:turned",
}


def hold(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Does the property hold under this switch? Every image at every N, a rotation and an outlier neighbour.

    Returns {"read": what is in effect, "singles": their SHA-256, "sums": of every pass's rows by its id, "differing":
    rows that differ from their singles by N, "flipped": rows with another top-1 by N, "comparisons"}.
    """
    images = Images.from_json(payload["images"])
    passes = plan_passes(len(images), payload["batch_sizes"], probes=True)
    with ExitStack() as stack:
        read_back = stack.enter_context(_switched(payload))
        runner = opened(Opening.of(payload), stack).shipped
        ran = run_passes(runner, images, passes, lambda count: emit({"images": count}), timed=False)
        read = read_back(runner)
    differing: dict[int, int] = {}
    flipped: dict[int, int] = {}
    sums = {}
    for one in passes[1:]:
        index, rows = ran.rows[one.id]
        alone = ran.singles[np.asarray(one.images)[index]]
        differing[one.batch_size] = differing.get(one.batch_size, 0) + len(index)
        changed = int((rows.argmax(axis=1) != alone.argmax(axis=1)).sum()) if len(index) else 0
        flipped[one.batch_size] = flipped.get(one.batch_size, 0) + changed
        sums[one.id] = hashlib.sha256(index.tobytes() + rows.tobytes()).hexdigest()
    return {
        "read": read,
        "singles": hashlib.sha256(ran.singles.tobytes()).hexdigest(),
        "sums": sums,
        "differing": differing,
        "flipped": flipped,
        "comparisons": len(passes) - 1,
    }


def contest_switched(payload: dict[str, Any], emit: Emit) -> dict[str, int]:
    """As ``race.in_worker.contest``, with the switch turned."""
    with _switched(payload):
        return contest(payload, emit)


@contextmanager
def _switched(payload: dict[str, Any]) -> Iterator[Callable[[Any], dict[str, str]]]:
    turned = _TURNED.get(payload["runtime"])
    if turned is None:
        threads = str(payload["settings"]["threads"])
        yield lambda runner: {"threads": threads}
    else:
        with load(turned)(payload["options"]) as read_back:
            yield read_back

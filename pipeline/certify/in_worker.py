"""What runs inside a worker to verify what is shipped: at each N a batch, copies of one image, then rounding ties."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import find_variant
from isobatch.models.spec.change import Remade
from isobatch.models.spec.images import Images
from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import WHOLE, Layer, Nested, Rows
from isobatch.pipeline.certify.crossing import ComparisonRan, Filled, RangeAsked, RangeKind, RangeTold
from isobatch.pipeline.deploy.folder import filled
from isobatch.pipeline.evidence.evidence import differing_rows
from isobatch.pipeline.evidence.outcomes import Gallery, changed
from isobatch.pipeline.evidence.passes import call
from isobatch.pipeline.explain.findings import Watched
from isobatch.pipeline.machine.memory import release_free
from isobatch.pipeline.processes.wire import Emit
from isobatch.pipeline.race.in_worker import Runners, opened

_CHUNK = 64  # labelled images read at a time


def verify_range(payload: dict[str, Any], emit: Emit) -> bool:
    """Run what is shipped as a ``RangeAsked`` has it, the smallest N first; whether there was time for all batches.

    Emits ``RangeTold``: of each batch, and of integer layers at each N where they can be moved to rounding ties.
    """
    asked = RangeAsked.of(payload)
    with ExitStack() as stack:
        runner = opened(asked, stack)
        deadline = time.monotonic() + asked.seconds
        images, filled_with = gathered(asked.images, asked.labelled, max(asked.sizes), asked.seed)
        emit(RangeTold(filled_with).to_json())
        in_time = _batches(runner, images, asked.sizes, deadline, emit, asked.outcome)
        if in_time and asked.ties:
            _ties(runner, asked, images, deadline, emit)
    return in_time


def gathered(own: Images, labelled: Iterable[Images], count: int, seed: int) -> tuple[NDArray[Any], Filled]:
    """``count`` distinct images [count, ...] and where they are from: the set's own, then labelled ones, then
    drawn ones.
    """
    rows, known = list[NDArray[Any]](), set[bytes]()

    def take(images: Images) -> int:
        taken = 0
        for start in range(0, len(images), _CHUNK):
            for image in images.read(start, min(start + _CHUNK, len(images))):
                digest = hashlib.sha256(image.tobytes()).digest()
                if len(rows) < count and digest not in known:
                    known.add(digest)
                    rows.append(image)
                    taken += 1
            if len(rows) == count:
                break
        return taken

    of_set = take(own)
    of_labelled = sum(take(images) for images in labelled if images.shape[1:] == own.shape[1:])
    every, drawn = filled(np.stack(rows), count, seed)
    return every, Filled(of_set, of_labelled, drawn)


def _batches(
    runner: Runners, images: NDArray[Any], sizes: Sequence[int], deadline: float, emit: Emit, outcome: Outcome = CLASSES
) -> bool:
    """A batch and copies at each N against the images alone; whether there was time for all."""
    singles = np.concatenate([call(runner.shipped, images[i : i + 1])[0] for i in range(len(images))])
    for n in sizes:
        if time.monotonic() > deadline:
            return False
        start = (len(images) - n) * (n % 2)  # from the front and the end in turn
        calls: tuple[tuple[RangeKind, NDArray[np.int64]], ...] = (
            ("batch", np.arange(start, start + n)),
            ("copies", np.full(n, n % len(images))),
        )
        for kind, which in calls:
            outputs, alone = call(runner.shipped, images[which])[0], singles[which]
            if (outputs.dtype, outputs.shape) != (alone.dtype, alone.shape):
                raise ValueError(f"shape-mismatch: at N = {n} its rows are not of the kind they are at N = 1")
            flipped = int(changed(alone, outputs, outcome, Gallery(singles, which)).sum())
            emit(_told(n, kind, len(differing_rows(alone, outputs)), flipped=flipped))
        release_free()
    return True


def _ties(runner: Runners, asked: RangeAsked, images: NDArray[np.float32], deadline: float, emit: Emit) -> None:
    """Every integer layer that runs in the caller's shape, on rounding ties at each N, as long as there is time."""
    where = _provoked(runner, asked.delivery)
    if find_variant(asked.variant).precision != "int8" or where is None:
        return
    tested, left_out = where
    assert isinstance(tested, Watched) and isinstance(tested, Provocable)
    layers: dict[str, Layer] = {}

    def remember(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        layers[layer.name] = layer

    tested.watch(images[:1], remember)
    names = [name for name in layers if name not in left_out]
    if isinstance(tested, Nested):
        names = [name for name in names if tested.reaches(name, images[:2])]
    able = [name for name in names if tested.provoke(name, 1, asked.seed)[1]]
    if not able:
        return
    emit(_told(1, "ties", 0, layers=len(able)))
    for n in asked.sizes:
        differing = elements = 0
        for name in able:
            if time.monotonic() > deadline:
                return
            apart, tried = tested.provoke(name, n, asked.seed + n)
            differing, elements = differing + apart, elements + tried
        emit(_told(n, "ties", differing, layers=len(able), elements=elements))


def _told(n: int, kind: RangeKind, differing: int, **counts: int) -> dict[str, Any]:
    return RangeTold(ran=ComparisonRan(n, kind, differing, **counts)).to_json()


def _provoked(runner: Runners, delivery: Remade | None) -> tuple[Any, frozenset[str]] | None:
    """The runner whose layers are moved to ties, and the layers left out: those that a repair runs in one shape.

    None where ties say nothing: the runner cannot be moved to them, or no layer sees the caller's N.
    """
    made = delivery or Remade()
    rules = made.change.canonical or {}
    if made.change.recheck is not None or made.serving.streams > 1 or WHOLE in rules:
        return None
    tested = runner.native if rules else runner.shipped
    if not isinstance(tested, Watched) or not isinstance(tested, Provocable):
        return None
    return tested, frozenset(rules)

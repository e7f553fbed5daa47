"""Running the passes of a plan on a live runner: the only place that calls a network for evidence."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Clocked, Runner
from isobatch.pipeline.evidence.evidence import IndexedRows, Pass, kept_rows
from isobatch.pipeline.evidence.neighbours import beside, find_replacement

_FLOATS = ("float16", "bfloat16", "float32", "float64")


class PassesRan(NamedTuple):
    """What passes gave, by their id, as ``Evidence`` has it."""

    rows: dict[str, IndexedRows]
    call_s: dict[str, tuple[float, ...]]
    warm_up_s: tuple[float, ...]


def run_passes(
    runner: Runner, images: Images, passes: tuple[Pass, ...], done: Callable[[int], None], *, timed: bool
) -> PassesRan:
    """Run the passes in order.

    The singles come first: the rows of the images that their pass goes through.
    ``timed``: one call of each N goes ahead, its rows unseen. Engines prepare kernels and memory at the first call of a
    shape, which would count as a quarter of the few calls of a large N.
    """
    singles: NDArray[Any] | None = None
    rows, call_s, warm = {}, {}, dict[int, float]()
    for chosen in passes:
        if timed and chosen.batch_size not in warm:
            ahead = images.read(chosen.start, chosen.start + chosen.batch_size)
            warm[chosen.batch_size] = call(runner, ahead)[1]
        outputs, call_s[chosen.id] = run_pass(runner, images, chosen, done)
        if singles is None:
            singles, rows[chosen.id] = outputs, (np.arange(len(outputs)), outputs)
        else:
            rows[chosen.id] = kept_rows(singles, passes[0].start, chosen, outputs)
    return PassesRan(rows, call_s, tuple(warm.values()))


def run_pass(
    runner: Runner, images: Images, chosen: Pass, done: Callable[[int], None]
) -> tuple[NDArray[Any], tuple[float, ...]]:
    """The rows of ``chosen.images`` in order, and the seconds of each call.

    Rows are copied out of each call's own memory: kept where they are, between the freed activations of this call and
    the next, they leave holes in which no activation fits, and memory grows with the images.

    Raises ValueError where a call's rows have another type or length than those before, and as ``call`` does.
    """
    outputs: NDArray[Any] | None = None
    seconds: list[float] = []
    done_rows = 0
    replace = None
    if chosen.kind == "neighbours":
        first = images.read(0, chosen.batch_size)  # of the set, in whatever parts it is run
        replace = find_replacement(chosen.neighbour, runner, first)
    for start in range(chosen.start, chosen.stop, chosen.batch_size):
        batch = images.read(start, start + chosen.batch_size)
        if chosen.kind == "position":
            batch = np.roll(batch, chosen.rotation, axis=0)
        elif chosen.kind == "copies":
            batch = np.repeat(batch[:1], chosen.batch_size, axis=0)
        elif replace is not None:
            batch = beside(batch, replace)
        logits, spent = call(runner, batch)
        if chosen.kind == "position":
            logits = np.roll(logits, -chosen.rotation, axis=0)
        elif replace is not None:
            logits = logits[:-1]
        if outputs is None:
            outputs = np.empty((len(chosen.images), logits.shape[1]), logits.dtype)
        if (logits.dtype, logits.shape[1]) != (outputs.dtype, outputs.shape[1]):
            was, now = (f"{rows.dtype}, {rows.shape[1]} a row" for rows in (outputs, logits))
            raise ValueError(f"shape-mismatch: outputs of one kind are expected, and after {was} came {now}")
        outputs[done_rows : done_rows + len(logits)] = logits
        done_rows += len(logits)
        seconds.append(spent)
        done(chosen.batch_size)
    assert outputs is not None and done_rows == len(outputs)
    return outputs, tuple(seconds)


def call(runner: Runner, batch: NDArray[np.float32], *, wall: bool = False) -> tuple[NDArray[Any], float]:
    """One call: the rows, and its seconds, by the runner's own clock if it has one and ``wall`` is not asked for.

    Raises ValueError unless each image has one row of real numbers.
    """
    if isinstance(runner, Clocked) and not wall:
        logits, spent = runner.timed(batch)
    else:
        begin = time.perf_counter()
        logits = runner.run(batch)
        spent = time.perf_counter() - begin
    if logits.ndim != 2 or len(logits) != len(batch) or logits.size == 0:
        raise ValueError(
            f"shape-mismatch: {len(batch)} images gave an output of shape {list(logits.shape)}; "
            "one row of values per image is expected: [images, values]"
        )
    if logits.dtype.name not in _FLOATS and not np.issubdtype(logits.dtype, np.integer):
        raise ValueError(f"type-mismatch: an output of {logits.dtype}; {', '.join(_FLOATS)} or integers are expected")
    return logits, spent

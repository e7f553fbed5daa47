"""Whether layers depend on N beyond what was studied: with one thread, and at an N above 16.

Kernels change with both, so a list of origins, or a kind called innocent, says nothing about them. Layers of one
signature run the same kernels on the same shapes, so one speaks for its siblings.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Threaded
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.evidence.rows import row_count, rows_at, same_row
from isobatch.pipeline.repair.shapes import telling_rows

ABOVE = 17
"""The first N that fills no vector of 16 rows, and more than one of them."""
SECONDS = 20.0  # for one variant: what is not reached is said

_CAPTURED = 2  # images; as many drawn rows stand between them


def look_beyond(
    runner: Any,
    images: NDArray[np.float32],
    threads: int,
    batch_sizes: Sequence[int],
    seed: int,
    alive: Callable[[], None] = lambda: None,
    seconds: float = SECONDS,
) -> list[dict[str, Any]]:
    """The fields of ``BeyondLook`` records: with one thread and with ``threads``, at N = 17 and the largest studied.

    What was studied itself is left out. ``images``: [n, c, h, w], of which few are used; of a larger N the layers see
    rows several times, which shows their kernels, and no verdict rests on it. ``alive`` is called now and then.
    """
    largest = max([n for n in batch_sizes if n <= ABOVE], default=ABOVE)
    counts = [threads, 1] if threads > 1 and isinstance(runner, Threaded) else [threads]
    looks = [(c, n) for c in counts for n in sorted({largest, ABOVE}) if c != threads or n not in batch_sizes]
    differing: dict[str, set[tuple[int, int]]] = {}
    layers: dict[str, list[str]] = {}
    generator = np.random.Generator(np.random.PCG64(seed))
    deadline = time.monotonic() + seconds

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        layers.setdefault(layer.signature, []).append(layer.name)
        if len(layers[layer.signature]) > 1 or time.monotonic() > deadline:
            return
        rows = telling_rows(inputs, generator)
        shown = set()
        try:
            for count in counts:
                sizes = [n for other, n in looks if other == count]
                with runner.one_thread() if count != threads else nullcontext():
                    shown |= {(count, n) for n in _differing(runner, layer.name, rows, sizes)}
        except Exception:  # a layer that does not take such rows alone; the others go on
            return
        differing[layer.signature] = shown
        alive()

    if looks:
        runner.watch(images[:_CAPTURED], examine)
    return [
        {
            "threads": count,
            "batch_size": n,
            "shapes": len(differing),
            "of_shapes": len(layers),
            "layers": [name for s, shown in differing.items() if (count, n) in shown for name in layers[s]],
        }
        for count, n in looks
    ]


def _differing(runner: Any, name: str, rows: Rows, sizes: Sequence[int]) -> list[int]:
    """The N at which some of these rows, again from the first where N is larger, differ from the same row alone."""
    count = row_count(rows)
    alone = [runner.replay(name, rows_at(rows, [i], count)) for i in range(count)]
    differing = []
    for n in sizes:
        which = np.arange(n) % count
        together = runner.replay(name, rows_at(rows, which, count))
        if not all(same_row(alone[i], together, row, n) for row, i in enumerate(which)):
            differing.append(n)
    return differing

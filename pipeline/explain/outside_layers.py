"""What the layers do not account for: control flow, state and what is read across images between and around them.

A module that consists of layers, or the network's own forward, is an origin itself where it does something else for a
batch than for one image, or where its rows follow their neighbours and those of none of its layers do.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Branching, Layer, Nested, Rows
from isobatch.pipeline.evidence.mixing import Replay, most_apart, moved_by_neighbours, unsteady
from isobatch.pipeline.evidence.rows import row_count, rows_at, same_row
from isobatch.pipeline.explain.findings import Located

_FEW = 4  # images by which the whole network is asked whether neighbours move a row, up to three times over


@dataclass(frozen=True)
class Around:
    """A module to be called an origin."""

    layer: Layer
    inputs: Rows
    moved: int  # elements of a row that other neighbours changed at one N


def outside(runner: Any, located: Located, images: NDArray[np.float32], batch_sizes: Sequence[int]) -> list[Around]:
    """The innermost modules that show what no layer does, in the order in which they end; usually none.

    ``images``: as ``locate`` has them. Costs a few runs of the network where nothing is amiss.
    """
    if not isinstance(runner, Nested):
        return []

    def whole(inputs: Rows) -> Rows:
        return (runner.run(np.ascontiguousarray(inputs[0])),)  # type: ignore[attr-defined]

    sizes = [n for n in batch_sizes if n <= len(images)]
    few = images[:_FEW]
    victim = most_apart(lambda batch: whole((batch,)), few, len(few))
    coupled = moved_by_neighbours(whole, (few,), victim) and not unsteady(whole, (few,))
    origins = [finding.layer.name for finding in located.origins]
    moved = partial(_moved, runner, victim)
    if coupled and not _showing(runner, origins, images, moved):
        return _innermost(runner, images, moved)
    if branching := _branching(runner, origins, images, sizes):
        return branching
    if origins or not any(_differs(whole, (images[:n],)) for n in sizes):
        return []
    return _innermost(runner, images, lambda layer, inputs: int(_differs(_alone(runner, layer), inputs)))


def _differs(replay: Replay, inputs: Rows) -> bool:
    """Whether some row is another one alone than in this batch."""
    count, together = row_count(inputs), replay(inputs)
    alone = (replay(rows_at(inputs, slice(i, i + 1), count)) for i in range(count))
    return not all(same_row(single, together, i, count) for i, single in enumerate(alone))


def _alone(runner: Any, layer: Layer) -> Replay:
    return lambda inputs: tuple(runner.replay(layer.name, inputs))


def _moved(runner: Any, victim: int, layer: Layer, inputs: Rows) -> int:
    replay = _alone(runner, layer)
    moved = moved_by_neighbours(replay, inputs, victim)
    return moved if moved and not unsteady(replay, inputs) else 0


def _showing(
    runner: Any, origins: Collection[str], images: NDArray[np.float32], shows: Callable[[Layer, Rows], int]
) -> list[str]:
    """Those of these layers that show it."""
    showing: list[str] = []

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        if layer.name in origins and shows(layer, inputs):
            showing.append(layer.name)

    if origins:
        runner.watch(images, examine)
    return showing


def _branching(
    runner: Any, origins: Collection[str], images: NDArray[np.float32], sizes: Sequence[int]
) -> list[Around]:
    """The innermost modules that make other calls for some N than for one image, and give other rows there, unless a
    layer inside of them does, which is an origin already.
    """
    if not isinstance(runner, Branching):
        return []
    network: list[tuple[Layer, Rows]] = []

    def last(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        network[:] = [(layer, inputs)]

    runner.watch_around(images, last)  # type: ignore[attr-defined]
    turns = partial(_turns, runner, sizes)
    if not network or not turns(*network[-1]):
        return []
    return _innermost(runner, images, turns, _showing(runner, origins, images, turns))


def _turns(runner: Any, sizes: Sequence[int], layer: Layer, inputs: Rows) -> bool:
    for n in sizes:
        some = rows_at(inputs, slice(n))
        if runner.other_calls(layer.name, some) and _differs(_alone(runner, layer), some):
            return True
    return False


def _innermost(
    runner: Any, images: NDArray[np.float32], shows: Callable[[Layer, Rows], int], known: Sequence[str] = ()
) -> list[Around]:
    """The modules that show it and hold none that does; ``known``: layers that do."""
    innermost: list[Around] = []

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        names = [*known, *(part.layer.name for part in innermost)]
        if not any(_holds(layer.name, name) for name in names) and (moved := shows(layer, inputs)):
            innermost.append(Around(layer, inputs, moved))

    runner.watch_around(images, examine)
    return innermost


def _holds(outer: str, inner: str) -> bool:
    """Whether one module is inside of the other; everything is inside of the network's own forward."""
    return inner.startswith(f"{outer}.") or "(" in outer

"""Which shapes a layer may be run in: its classes of N by replay, and the rule of least cost that stays in one of them.

Layers of one signature run the same kernels on the same shapes: one of them is replayed, and speaks for its siblings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.runner import Canonical, Layer, Rows
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import row_count, row_digests, rows_at
from isobatch.pipeline.explain.findings import Located, Watched
from isobatch.pipeline.explain.locate import random_rows
from isobatch.pipeline.records.wording import runs

_CHEAP = 1.05  # a rule that costs less than this over native, at every N, needs no rival


@dataclass(frozen=True)
class Shapes:
    """What replaying one layer at every N showed. ``seconds``: of one call, by N.

    ``classes``: sets of N whose rows were bitwise equal, every two of them. ``alone_only``: rounding ties tell only
    whether an N agrees with 1, so of a layer that can be put on ties no other class is sure. ``placed``: N at which a
    row's bytes depend on its place in the batch, so that no image may be run with so many others at all.
    """

    classes: tuple[frozenset[int], ...]
    seconds: Mapping[int, float]
    alone_only: bool = False
    placed: frozenset[int] = frozenset()

    def merged(self, other: Shapes) -> Shapes:
        """The classes that hold here and there (another thread count); seconds as here."""
        both = [mine & another for mine in self.classes for another in other.classes]
        classes = tuple(shared for shared in both if shared)
        placed = self.placed | other.placed
        return replace(self, classes=classes, alone_only=self.alone_only or other.alone_only, placed=placed)

    def rules(self) -> Iterator[Canonical]:
        """Every rule that keeps all calls in one class: that of N = 1 first, where nothing is padded."""
        for same_bytes in sorted(self.classes, key=min):
            for low, high in ((run[0], run[-1]) for run in runs(same_bytes)):
                if low == 1 or not (self.alone_only or self.placed & same_bytes):
                    yield Canonical(size=high, up_to=high, least=low)
                    if (even := 1 << (high.bit_length() - 1)) not in (low, high) and even > low:
                        yield Canonical(size=even, up_to=high, least=low)  # 16 images: 8 and 8, not 15 and 1

    def cost(self, rule: Canonical, n: int) -> float:
        """Seconds of the calls that the rule makes of n rows, over those of one native call of n."""
        if n <= rule.up_to:
            calls = [max(n, rule.least)]
        else:
            whole, rest = divmod(n, rule.size)
            calls = [rule.size] * whole + ([max(rest, rule.least)] if rest else [])
        return sum(self.seconds[call] for call in calls) / self.seconds[n]


def best_rules(shapes: Shapes, batch_sizes: Sequence[int]) -> tuple[Canonical, Canonical]:
    """(the rule under which a single image pays nothing, the rule of least cost over ``batch_sizes``); often one."""
    alone = Canonical(size=1, up_to=1)
    rules = [*shapes.rules()] or [alone]
    first = next((rule for rule in rules if rule.least == 1), alone)
    sizes = [n for n in batch_sizes if n in shapes.seconds]
    if all(shapes.cost(first, n) <= _CHEAP for n in sizes):
        return first, first

    def together(rule: Canonical) -> float:
        return math.fsum(math.log(shapes.cost(rule, n)) for n in sizes)

    return first, min([first, *rules], key=together)


def measure_shapes(
    runner: Watched, located: Located, images: NDArray[np.float32], largest: int, seed: int
) -> dict[str, Shapes]:
    """The shapes of every origin's signature for N = 1 to ``largest``, at most the number of images."""
    chosen: dict[str, str] = {}
    for finding in located.findings.values():
        if finding.batch_sizes:
            chosen.setdefault(finding.layer.signature, finding.layer.name)
    shapes: dict[str, Shapes] = {}
    generator = np.random.Generator(np.random.PCG64(seed))

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        if chosen.get(layer.signature) == layer.name and layer.signature not in shapes:
            count = min(largest, len(images))
            with suppress(Exception):  # a layer that does not take drawn rows has the rule of what was found
                rows = telling_rows(inputs, generator)
                shapes[layer.signature] = measure_layer(runner, layer.name, rows, count, seed).shapes

    if chosen:
        runner.watch(images, examine)
    return shapes


def telling_rows(inputs: Rows, generator: np.random.Generator) -> Rows:
    """The captured rows and as many drawn ones in turn, those of small values first.

    So every batch holds, beside its first row, one of larger values: a scale taken from the whole batch shows itself.
    """
    order = np.argsort([float(np.abs(row.astype(np.float64)).max(initial=0)) for row in inputs[0]], kind="stable")
    mixed = []
    for own, other in zip(inputs, random_rows(inputs, generator), strict=True):
        both = np.stack([own[order], other[order]], axis=1) if own.ndim else own
        mixed.append(both.reshape(-1, *own.shape[1:]) if own.ndim else own)
    return tuple(mixed)


@dataclass(frozen=True)
class LayerShapes:
    """A layer's shapes, and of how many output elements tried how many differed from N = 1, by N."""

    shapes: Shapes
    differing: Mapping[int, int]
    tried: int


def measure_layer(runner: Watched, name: str, rows: Rows, largest: int, seed: int) -> LayerShapes:
    """Replay one layer at N = 1 to ``largest`` on these rows, from the first again where an N is larger than their
    number: it is the place of a row in a batch that matters here. Raises NotImplementedError as ``replay``.
    """
    count = row_count(rows)
    alone, spent = [], {1: math.inf}
    for i in range(min(count, largest)):
        begin = time.perf_counter()
        alone.append(runner.replay(name, rows_at(rows, [i], count)))
        spent[1] = min(spent[1], time.perf_counter() - begin)
    singles = [np.concatenate([np.atleast_1d(row[place]) for row in alone]) for place in range(len(alone[0]))]
    provoked = _provoked(runner, name, largest, seed)
    classes: list[list[int]] = [[1]]
    marks: list[list[bytes]] = [[]]  # of each class but that of N = 1: digests of the rows of its largest N
    differing: dict[int, int] = {}
    for n in range(2, largest + 1):
        which = np.arange(n) % count
        begin = time.perf_counter()
        outputs = runner.replay(name, rows_at(rows, which, count))
        spent[n] = time.perf_counter() - begin
        differing[n] = sum(_differing(single, part, which) for single, part in zip(singles, outputs, strict=True))
        if not differing[n] and n not in provoked:
            classes[0].append(n)
            continue
        digests = [] if n in provoked else _digests(outputs, n)
        homes = [at for at, mark in enumerate(marks) if mark and digests[: len(mark)] == mark]
        if homes:
            classes[homes[0]].append(n)
            marks[homes[0]] = digests
        else:
            classes.append([n])
            marks.append(digests)
    elements = sum(single.size // len(single) for single in singles) * sum(range(2, largest + 1))
    for n in provoked:
        differing[n] = max(1, differing[n])
    placed = {
        n for n, mark in zip(map(max, classes), marks, strict=True) if mark and _placed(runner, name, rows, n, mark)
    }
    of_class = frozenset(n for members in classes if placed & {*members} for n in members)
    shapes = Shapes(tuple(map(frozenset, classes)), _monotone(spent), isinstance(runner, Provocable), of_class)
    return LayerShapes(shapes, differing, elements)


def _placed(runner: Watched, name: str, rows: Rows, n: int, mark: list[bytes]) -> bool:
    """Whether some row has other bytes one place further in a batch of n; ``mark``: the digests of all in their places.

    A batch equal to its rotation has equal rows in every two neighbouring places, and so in any two.
    """
    count = row_count(rows)
    turned = runner.replay(name, rows_at(rows, np.roll(np.arange(n), 1) % count, count))
    digests = _digests(turned, n)
    return [*digests[1:], digests[0]] != mark


def _monotone(seconds: Mapping[int, float]) -> dict[int, float]:
    """Fewer rows never cost more than more rows: a first call prepares its kernel, which is no cost of its shape."""
    rising, least = {}, math.inf
    for n in sorted(seconds, reverse=True):
        least = min(least, seconds[n])
        rising[n] = least
    return rising


def _differing(singles: NDArray[Any], batched: NDArray[Any], which: NDArray[np.int64]) -> int:
    """How many elements of the rows differ from those alone; a value that all rows share belongs to each."""
    together = bits(np.ascontiguousarray(batched) if batched.ndim else np.repeat(batched, len(which)))
    wanted = bits(singles)
    return sum(int(np.count_nonzero(wanted[i] != row)) for i, row in zip(which, together, strict=True))


def _provoked(runner: Watched, name: str, largest: int, seed: int) -> set[int]:
    """The N at which rounding ties differ from N = 1."""
    if not isinstance(runner, Provocable):
        return set()
    return {n for n in range(2, largest + 1) if runner.provoke(name, n, seed)[0]}


def _digests(outputs: Rows, n: int) -> list[bytes]:
    """One digest for each of the n rows of all outputs; what all rows share belongs to each."""
    shared = (part.ndim == 0 or len(part) != n for part in outputs)
    rows = [np.repeat(part[None], n, axis=0) if all_ else part for part, all_ in zip(outputs, shared, strict=True)]
    digests: list[bytes] = row_digests(rows, n).tolist()
    return digests

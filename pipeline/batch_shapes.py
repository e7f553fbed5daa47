"""Which shapes a layer may be run in: its classes of N by replay, and the rule of least cost that stays in one of them.

Layers of one signature run the same kernels on the same shapes: one of them is replayed, and speaks for its siblings.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.spec import Canonical, Layer, Provocable, Rows
from pipeline.locate import Located, Watched, drawn

_CHEAP = 1.05  # a rule that costs less than this over native, at every N, needs no rival


@dataclass(frozen=True)
class Shapes:
    """What replaying one layer at every N showed. ``seconds``: of one call, by N.

    ``classes``: sets of N whose rows were bitwise equal, every two of them. ``alone_only``: rounding ties tell only
    whether an N agrees with 1, so of a layer that can be put on ties no other class is sure.
    """

    classes: tuple[frozenset[int], ...]
    seconds: Mapping[int, float]
    alone_only: bool = False

    def merged(self, other: Shapes) -> Shapes:
        """The classes that hold here and there (another thread count); seconds as here."""
        both = [one & another for one in self.classes for another in other.classes]
        classes = tuple(one for one in both if one)
        return replace(self, classes=classes, alone_only=self.alone_only or other.alone_only)

    def rules(self) -> Iterator[Canonical]:
        """Every rule that keeps all calls in one class: that of N = 1 first, where nothing is padded."""
        for found in sorted(self.classes, key=min):
            for low, high in _runs(found):
                if low == 1 or not self.alone_only:
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
    found: dict[str, Shapes] = {}
    generator = np.random.Generator(np.random.PCG64(seed))

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        if chosen.get(layer.signature) == layer.name and layer.signature not in found:
            sets = [inputs, drawn(inputs, generator)]
            found[layer.signature] = _measured(runner, layer.name, sets, min(largest, len(images)), seed)

    if chosen:
        runner.watch(images, examine)
    return found


def _measured(runner: Watched, name: str, sets: Sequence[Rows], largest: int, seed: int) -> Shapes:
    digests: dict[int, list[str]] = {n: [] for n in range(1, largest + 1)}
    seconds: dict[int, float] = {}
    for inputs in sets:
        count = max(len(part) for part in inputs if part.ndim)
        for n in range(1, largest + 1):
            starts = range(largest) if n == 1 else range(1)
            for start in starts:
                rows = tuple(p[start : start + n] if p.ndim and len(p) == count else p for p in inputs)
                begin = time.perf_counter()
                outputs = runner.replay(name, rows)
                seconds[n] = min(seconds.get(n, math.inf), time.perf_counter() - begin)
                digests[n] += _digests(outputs, n)
    provoked = _provoked(runner, name, largest, seed)
    per_set = len(sets)
    classes: list[list[int]] = []
    for n in sorted(digests):
        home = next((one for one in classes if all(_agree(digests, n, m, per_set) for m in one)), None)
        if n in provoked or home is None:
            classes.append([n])
        else:
            home.append(n)
    return Shapes(tuple(frozenset(one) for one in classes), seconds, isinstance(runner, Provocable))


def _provoked(runner: Watched, name: str, largest: int, seed: int) -> set[int]:
    """The N at which rounding ties differ from N = 1."""
    if not isinstance(runner, Provocable):
        return set()
    return {n for n in range(2, largest + 1) if runner.provoke(name, n, seed)[0]}


def _digests(outputs: Rows, n: int) -> list[str]:
    """One digest for each of the n rows of all outputs; what all rows share belongs to each."""
    return [
        hashlib.blake2b(
            b"".join(
                np.ascontiguousarray(part[i] if part.ndim and len(part) == n else part).tobytes() for part in outputs
            )
        ).hexdigest()
        for i in range(n)
    ]


def _agree(digests: Mapping[int, list[str]], one: int, other: int, sets: int) -> bool:
    """Whether the rows that both sizes hold are equal, in each of the sets of rows."""
    shared = min(len(digests[one]), len(digests[other])) // sets
    mine, yours = (_by_set(digests[n], sets) for n in (one, other))
    return all(a[:shared] == b[:shared] for a, b in zip(mine, yours, strict=True))


def _by_set(digests: list[str], sets: int) -> list[list[str]]:
    length = len(digests) // sets
    return [digests[at * length : (at + 1) * length] for at in range(sets)]


def _runs(numbers: frozenset[int]) -> Iterator[tuple[int, int]]:
    """The runs of consecutive numbers, each as its first and last."""
    low = previous = None
    for n in sorted(numbers):
        if low is None or previous is None or n != previous + 1:
            if low is not None and previous is not None:
                yield low, previous
            low = n
        previous = n
    if low is not None and previous is not None:
        yield low, previous

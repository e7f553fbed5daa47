"""Which shapes a layer may be run in: its classes of N by replay, and the rule of least cost that stays in one of them.

Layers of one signature run the same kernels on the same shapes: one of them is replayed, and speaks for its siblings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.runner import Canonical, Rows
from isobatch.pipeline.evidence.rows import row_count, rows_at, same_bits
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.explain.locate import compare_rows, random_rows
from isobatch.pipeline.explain.origins import at_representatives
from isobatch.pipeline.records.wording import runs

_CHEAP = 1.05  # a rule that costs less than this over native, at every N, needs no rival


@dataclass(frozen=True)
class Shapes:
    """What replaying one layer at every N showed."""

    classes: tuple[frozenset[int], ...]  # sets of N whose rows were bitwise equal, every two of them
    seconds: Mapping[int, float]  # of one call, by N
    # Rounding ties tell only whether an N agrees with 1, so of a layer that can be put on ties no other class is sure.
    alone_only: bool = False
    # N at which a row's bytes depend on its place in the batch, so that no image may be run with so many others at all.
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
    generator = np.random.Generator(np.random.PCG64(seed))

    def measured(finding: LayerFinding, inputs: Rows) -> Shapes | None:
        with suppress(Exception):  # a layer that does not take drawn rows has the rule of what was found
            rows = telling_rows(inputs, generator)
            return measure_layer(runner, LayerFinding(finding.layer), rows, min(largest, len(images)), seed)
        return None

    seen = at_representatives(runner, located, images, measured)
    return {located.findings[name].layer.signature: shapes for name, shapes in seen.items() if shapes}


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


def measure_layer(runner: Watched, finding: LayerFinding, rows: Rows, largest: int, seed: int) -> Shapes:
    """Replay one layer at N = 1 to ``largest`` on these rows, from the first again where an N is larger than their
    number: it is the place of a row in a batch that matters here. What differs is added to the finding. Raises
    NotImplementedError as ``replay``.
    """
    name = finding.layer.name
    distinct = row_count(rows)
    rows = rows_at(rows, np.arange(largest) % distinct)
    seconds = compare_rows(runner, finding, rows, None, range(2, largest + 1), "drawn", distinct)
    provoked = _provoked(runner, name, largest, seed)
    seen = [frozenset(members).difference(provoked) for members in finding.classes]
    placed = [members for members in seen if members and 1 not in members and _placed(runner, name, rows, max(members))]
    finding.differing.update((n, max(1, finding.differing[n])) for n in provoked)
    classes = (*filter(None, seen), *(frozenset([n]) for n in provoked))
    return Shapes(classes, _monotone(seconds), isinstance(runner, Provocable), frozenset().union(*placed))


def _placed(runner: Watched, name: str, rows: Rows, n: int) -> bool:
    """Whether some row has other bytes one place further in a batch of n.

    A batch equal to its rotation has equal rows in every two neighbouring places, and so in any two.
    """
    order, batch = np.roll(np.arange(n), 1), rows_at(rows, slice(n))
    plain, turned = runner.replay(name, batch), runner.replay(name, rows_at(batch, order))
    pairs = zip(rows_at(plain, order, n), turned, strict=True)
    return not all(same_bits(np.atleast_1d(own), np.atleast_1d(other)).all() for own, other in pairs)


def _monotone(seconds: Mapping[int, float]) -> dict[int, float]:
    """Fewer rows never cost more than more rows: a first call prepares its kernel, which is no cost of its shape."""
    rising, least = {}, math.inf
    for n in sorted(seconds, reverse=True):
        least = min(least, seconds[n])
        rising[n] = least
    return rising


def _provoked(runner: Watched, name: str, largest: int, seed: int) -> set[int]:
    """The N at which rounding ties differ from N = 1."""
    if not isinstance(runner, Provocable):
        return set()
    return {n for n in range(2, largest + 1) if runner.provoke(name, n, seed)[0]}

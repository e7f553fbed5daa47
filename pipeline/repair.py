"""Making a variant batch-invariant, inside a worker: verified bitwise over a scope, priced against its native self."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.images import Images
from models.spec import Runner
from pipeline.evidence import bits, differing_rows
from pipeline.passes import call, run_pass
from pipeline.plan import plan_passes

PAIRS = 7  # alternating pairs of calls a price is the median of; the first pair warms up and is not counted
_LEAST_PAIRS = 3
_ENOUGH_S = 4.0  # spent on one N: fewer pairs then


@dataclass
class Verified:
    """Whether the repaired rows are those of its own singles at every N, and whether those are the native singles."""

    inputs: str
    differing: dict[int, int] = field(default_factory=dict)  # rows of all passes whose bytes differ, by N
    flipped: dict[int, int] = field(default_factory=dict)  # rows of all passes whose top-1 differs, by N
    n_images: int = 0
    n_comparisons: int = 0
    singles_as_native: bool = True
    top1_as_native: int = 0
    threads: int = 0

    @property
    def batch_invariant(self) -> bool:
        """No image differed at any N."""
        return self.n_comparisons > 0 and not any(self.differing.values())

    @property
    def top1_stable(self) -> bool:
        """No image changed its top-1 at any N."""
        return self.n_comparisons > 0 and not any(self.flipped.values())


def verify(
    native: Runner,
    repaired: Runner,
    images: Images,
    batch_sizes: Sequence[int],
    done: Callable[[int], None],
    stop_at_first: bool = False,
) -> Verified:
    """Run the repaired variant over the whole scope: singles, every N, one rotation, one outlier neighbour.

    ``stop_at_first``: no more than the first pass in which a row differs; what is left then was not run.
    """
    passes = plan_passes(len(images), batch_sizes, probes=True)
    found = Verified(images.name, n_images=len(images))
    singles, _ = run_pass(repaired, images, passes[0], done)
    plain, _ = run_pass(native, images, passes[0], done)
    if singles.dtype == plain.dtype and singles.shape == plain.shape:
        found.singles_as_native = bool((bits(singles) == bits(plain)).all())
        found.top1_as_native = int((_top1(singles) == _top1(plain)).sum())
    else:
        found.singles_as_native = False
    for chosen in passes[1:]:
        outputs, _ = run_pass(repaired, images, chosen, done)
        mine = singles[list(chosen.images)]
        n = chosen.batch_size
        found.differing[n] = found.differing.get(n, 0) + len(differing_rows(mine, outputs))
        found.flipped[n] = found.flipped.get(n, 0) + int((_top1(mine) != _top1(outputs)).sum())
        found.n_comparisons += 1
        if stop_at_first and found.differing[n]:
            break
    return found


def _top1(rows: NDArray[Any]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.argmax(rows.astype(np.float64), axis=1)
    return found


def price(
    native: Runner,
    repaired: Runner,
    images: Images,
    batch_sizes: Sequence[int],
    done: Callable[[int], None],
    pairs: int = PAIRS,
    enough_s: float = _ENOUGH_S,
) -> dict[int, list[float]]:
    """Time of the repaired call over time of the native call, by N: alternating calls on the same batch, one worker.

    At most ``pairs`` for each N; after ``enough_s`` seconds no more than three.
    """
    ratios: dict[int, list[float]] = {}
    for n in batch_sizes:
        batch = images.read(0, n)
        begin = time.perf_counter()
        for turn in range(pairs + 1):
            spent = [call(runner, batch)[1] for runner in ((native, repaired) if turn % 2 else (repaired, native))]
            first, second = spent if turn % 2 else reversed(spent)
            if turn:
                ratios.setdefault(n, []).append(second / first)
            done(2 * n)
            if turn >= _LEAST_PAIRS and time.perf_counter() - begin > enough_s:
                break
    return ratios


def priced_sizes(n_images: int, batch_sizes: Sequence[int]) -> list[int]:
    """The N to price: one image alone, and every tested N of at least 8 (else the largest) that the set can fill."""
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    return [1, *([n for n in tested if n >= 8] or tested[-1:])]

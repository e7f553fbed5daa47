"""Making a variant batch-invariant, in a worker: verified bitwise over a scope, priced beside the unrepaired one."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import Clocked, Runner
from isobatch.pipeline.evidence.evidence import Pass, bits, differing_rows
from isobatch.pipeline.evidence.outcomes import Gallery, changed
from isobatch.pipeline.evidence.passes import call, run_pass
from isobatch.pipeline.evidence.plan import plan_passes
from isobatch.pipeline.machine.disturbance import is_disturbed, waited_s, waits
from isobatch.pipeline.machine.memory import release_free

PAIRS = 7  # alternating pairs of calls a price is the median of; the first pair warms up and is not counted
_LEAST_PAIRS = 3
ENOUGH_PAIRS = 6  # from which on the limits of their median need no assumption
ENOUGH_S = 4.0  # spent on one N: fewer pairs then
_PRICED = (2, 8)  # by the command, beside one image and the largest N
_PROBED = (2, 4, 8, 16, 32, 64)  # N at which a scope of every N is also rotated and given an outlier

Passes = Callable[[int, Sequence[int]], tuple[Pass, ...]]
"""The passes of a verification over so many images at these N."""


every_image: Passes = partial(plan_passes, probes=True)
"""Every image at every N, a rotation, an outlier neighbour: the passes of a thorough study."""


class OutOfTime(Exception):
    """The time that repairs were given is over."""


def every_size(n_images: int, batch_sizes: Sequence[int]) -> tuple[Pass, ...]:
    """One batch of every N, from the set's front and end in turn; rotation and outlier neighbour at powers of two.

    For scopes of many N, in which every image at every N would be many times the work: the N are what is proved.
    """
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    probed = [n for n in tested if n in (*_PROBED, tested[-1])]
    planned = [Pass("singles", 1, 0, n_images)]
    for n in tested:
        start = (n_images - n) * (n % 2)
        planned.append(Pass("batched", n, start, start + n))
    planned += [Pass("position", n, 0, n, rotation=n // 2) for n in probed]
    return (*planned, *(Pass("neighbours", n, n_images - n, n_images) for n in probed))


Openers = Mapping[int, Callable[[], AbstractContextManager[Runner]]]
"""By thread count: what opens the native network with so many threads."""


@dataclass(frozen=True)
class Scope:
    """Over what a repair is verified, and on what it is priced (the first set)."""

    sets: Sequence[Images]
    batch_sizes: Sequence[int]
    natives: Openers  # beside the bench's own
    pairs: int = PAIRS  # of calls that price one N, at the most
    least: int = _LEAST_PAIRS  # and at the least
    timed_sizes: Sequence[int] | None = None  # the N to price; None: see ``study_sizes``; empty: none is
    passes: Passes = every_image
    stop_at_first: bool = False  # at the first difference of a candidate that is to be bitwise
    deadline: float = math.inf  # of time.monotonic: nothing is begun after it
    # Once another candidate holds: so many pairs at a single image and at the largest N come first, and what cannot win
    # by these is not verified.
    screen: int = 0
    enough_s: float = ENOUGH_S  # seconds of pairs that price one N
    reference: Callable[[Images], NDArray[Any] | None] = lambda images: None  # its singles [n, values] of a set, if any
    outcome: Outcome = CLASSES  # what counts as an image's answer
    begin: Callable[[], None] = lambda: None  # called before every candidate
    say: Callable[[str], None] = lambda text: None  # told what is being done
    done: Callable[[int], None] = lambda count: None  # told how many images were run

    def opens(self, threads: int, runner: Runner) -> Openers:
        """By thread count what opens the native network: the runner at hand first, then the other ``natives``."""
        return {threads: lambda: nullcontext(runner), **self.natives}

    @property
    def compared(self) -> list[Images]:
        """The sets of which a batch of some N can be formed: one image, or fewer than any N, show nothing."""
        return [images for images in self.sets if len(self.passes(len(images), self.batch_sizes)) > 1]


@dataclass
class Verified:
    """Whether the repaired rows are those of its own singles at every N, and whether those are the native singles."""

    inputs: str
    differing: dict[int, int] = field(default_factory=dict)  # rows of all passes whose bytes differ, by N
    flipped: dict[int, int] = field(default_factory=dict)  # rows of all passes whose outcome differs, by N
    n_images: int = 0
    n_comparisons: int = 0
    singles_as_native: bool = True
    top1_as_native: int = 0
    threads: int = 0
    # Of each image, whether its single has the reference's outcome; None where no reference is at hand.
    as_reference: tuple[bool, ...] | None = None

    @property
    def batch_invariant(self) -> bool:
        """No image differed at any N."""
        return self.n_comparisons > 0 and not any(self.differing.values())

    @property
    def top1_stable(self) -> bool:
        """No image changed its outcome at any N."""
        return self.n_comparisons > 0 and not any(self.flipped.values())


def verify(native: Runner, repaired: Runner, images: Images, scope: Scope, *, bitwise: bool = True) -> Verified:
    """Run the repaired variant over one set of the scope, in its passes.

    ``bitwise``: it is to keep bytes, so that a scope may stop at the first difference; what is left then was not run.
    Raises OutOfTime where the deadline comes before the last pass.
    """
    passes, done, outcome = scope.passes(len(images), scope.batch_sizes), scope.done, scope.outcome
    verified = Verified(images.name, n_images=len(images))
    singles, _ = run_pass(repaired, images, passes[0], done)
    plain = singles if native is repaired else run_pass(native, images, passes[0], done)[0]
    if singles.dtype == plain.dtype and singles.shape == plain.shape:
        verified.singles_as_native = bool((bits(singles) == bits(plain)).all())
        verified.top1_as_native = int((~changed(plain, singles, outcome)).sum())
    else:
        verified.singles_as_native = False
    if (ruled := scope.reference(images)) is not None and ruled.shape == singles.shape:
        verified.as_reference = tuple((~changed(ruled, singles, outcome)).tolist())
    for chosen in passes[1:]:
        if time.monotonic() > scope.deadline:
            raise OutOfTime
        outputs, _ = run_pass(repaired, images, chosen, done)
        release_free()
        mine = singles[list(chosen.images)]
        n = chosen.batch_size
        verified.differing[n] = verified.differing.get(n, 0) + len(differing_rows(mine, outputs))
        turned = changed(mine, outputs, outcome, Gallery(singles, np.asarray(chosen.images, np.int64)))
        verified.flipped[n] = verified.flipped.get(n, 0) + int(turned.sum())
        verified.n_comparisons += 1
        if scope.stop_at_first and bitwise and verified.differing[n]:
            break
    return verified


def time_ratios(
    native: Runner, repaired: Runner, scope: Scope, batch_sizes: Sequence[int], free: Mapping[int, float] | None = None
) -> dict[int, list[float]]:
    """Time of the repaired call over time of the native call, by N: alternating calls on the same batch, one worker.

    At most ``pairs`` for each N; after ``enough_s`` seconds no more than ``least``, unless these leave open whether the
    ratio is within that of ``free``: a further pair costs less than the search for another repair. An N that would
    begin after the deadline is left out. A pair that other programs disturbed is made again, as long as no more pairs
    are disturbed than asked for: after that they count.
    """
    pairs, enough_s, least = scope.pairs, scope.enough_s, scope.least
    ratios: dict[int, list[float]] = {}
    wall = not (isinstance(native, Clocked) and isinstance(repaired, Clocked))  # both by one clock
    for n in batch_sizes:
        if time.monotonic() > scope.deadline:
            break
        batch = scope.sets[0].read(0, n)
        begin, turn, repeated, limit = time.perf_counter(), 0, 0, (free or {}).get(n)
        while turn <= pairs:
            order = (native, repaired) if turn % 2 else (repaired, native)
            before = waits()
            spent = [call(runner, batch, wall=wall)[1] for runner in order]
            first, second = spent if turn % 2 else reversed(spent)
            scope.done(2 * n)
            if turn and repeated < pairs and is_disturbed(waited_s(before, waits()), first + second):
                repeated += 1
                if time.perf_counter() - begin <= enough_s:
                    continue
            if turn:
                ratios.setdefault(n, []).append(second / first)
            if turn >= least and time.perf_counter() - begin > enough_s and not _left_open(ratios[n], limit):
                break
            turn += 1
    return ratios


def _left_open(ratios: Sequence[float], limit: float | None) -> bool:
    """Whether so few ratios say nothing about the limit: their median is beyond it, and not all of them are."""
    return limit is not None and len(ratios) < ENOUGH_PAIRS and min(ratios) <= limit < statistics.median(ratios)


def study_sizes(n_images: int, batch_sizes: Sequence[int]) -> list[int]:
    """The N to price: one image alone, and of the tested N that the set can fill the powers of two from 8 on (where
    there are none, all N from 8 on) and the largest.
    """
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    large = [n for n in tested if n >= 8]
    even = [n for n in large if n & (n - 1) == 0]
    return sorted({1, *(even or large), *tested[-1:]})


def command_sizes(n_images: int, batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """The N to price: one image alone; of the scope that the set can fill 2, 8 and the largest."""
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    return tuple(sorted({1, *(n for n in tested if n in _PRICED), *tested[-1:]}))

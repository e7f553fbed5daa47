"""The project in a user's own code: is my network batch-invariant, where does it start, and make it so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isobatch.models.registry import load
from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.compare.metrics import measure_all
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.explain.locate import Located, Watched, locate
from isobatch.pipeline.records.study import Repair
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.repair.ladder import Scope, best, climb, tried_json
from isobatch.pipeline.repair.layers import survey
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.rungs import Bench

RUNGS = ("per-sample-scale", "surgical", "pow2-scale", "pin-shape")
"""Those whose result is a network; the others are ways to serve one."""

_SEED = 0
_LOCATED = 8  # images that the origins are located on, at most


class CannotRepair(Exception):
    """No rung of the ladder makes this network batch-invariant over the scope. The message says what each one did."""


@dataclass(frozen=True)
class BatchSize:
    """The rows of one N against the singles. ``max_abs_relative``: over the largest |output| of the singles."""

    batch_size: int
    n_images: int
    n_images_equal: int
    max_abs: float
    max_abs_relative: float


@dataclass(frozen=True)
class BatchInvariance:
    """Whether every image's output bytes are those it gives alone, for every N of the scope."""

    batch_sizes: tuple[BatchSize, ...]

    @property
    def batch_invariant(self) -> bool:
        """All bytes are equal, at every N."""
        return all(one.n_images_equal == one.n_images for one in self.batch_sizes)

    def __str__(self) -> str:
        differing = [one for one in self.batch_sizes if one.n_images_equal < one.n_images]
        scope = sizes(one.batch_size for one in self.batch_sizes)
        if not differing:
            return f"batch-invariant at {scope}: every output byte is that of the image alone"
        worst = max(differing, key=lambda one: one.max_abs)
        return (
            f"not batch-invariant at {sizes(one.batch_size for one in differing)} (tried {scope}): "
            f"at N = {worst.batch_size} "
            f"{worst.n_images - worst.n_images_equal} of {counted(worst.n_images, 'image')} differ from their "
            f"singles, by up to {worst.max_abs:.3g} ({worst.max_abs_relative:.2g} of the largest output)"
        )


@dataclass(frozen=True)
class MadeInvariant:
    """A repaired network (torch module or ONNX ModelProto) and the record of how it was verified and what it costs."""

    network: Any
    repair: Repair


def compare_batch_invariance(network: Any, images: Any, batch_sizes: Iterable[int] | None = None) -> BatchInvariance:
    """Singles against batches of each N (2 to the number of images by default), byte by byte.

    ``network``: a torch module in eval mode, or an ONNX file's path, bytes or ModelProto. ``images``: an array or
    tensor [n, c, h, w] with n of at least 2. Raises ValueError or TypeError where one of them cannot be used.
    """
    given = _as_images(images)
    with _opened(network) as runner:
        return _compared(runner, given, _scope(batch_sizes, len(given)))


def make_batch_invariant(
    network: Any,
    images: Any,
    batch_sizes: Iterable[int] | None = None,
    *,
    objective: str = "throughput",
    rungs: Sequence[str] = RUNGS,
) -> MadeInvariant:
    """The network repaired by the cheapest rung that holds over the scope, on these images, this machine, this thread
    count; and the record that says so. A network that is invariant there already comes back with a record of that.

    Arguments as of ``compare_batch_invariance``. Torch weights are shared with the original, which is not changed.
    Raises CannotRepair where no rung holds.
    """
    given = _as_images(images)
    scope = _scope(batch_sizes, len(given))
    with _opened(network) as runner:
        if _compared(runner, given, scope).batch_invariant:
            return MadeInvariant(network, _already(len(given), scope))
        examples = cast(Images, _InMemory("example", given))  # all that a repair asks of a stored set
        bench = _bench(runner, given, scope, objective)
        trying = Scope([examples], scope, {}, stop_at_first=True)
        tried = climb(bench, trying, lambda count: None, math.inf, rungs)
        chosen = best(tried, objective)
        records = repair_records(tried_json(tried), objective)
        if chosen is None or chosen.candidate is None:
            reasons = "; ".join(f"{one.name}: {one.note}" for one in records)
            raise CannotRepair(f"no repair holds for N = {', '.join(map(str, scope))}: {reasons}")
        repaired = load("isobatch.models.user_networks:network_of")(chosen.candidate.build(runner))
        return MadeInvariant(repaired, next(one for one in records if one.name == chosen.rung))


def first_origin(network: Any, images: Any, batch_sizes: Iterable[int] | None = None) -> str | None:
    """The layer with the largest difference although its inputs do not differ, in words; None where none shows it."""
    given = _as_images(images)
    with _opened(network) as runner:
        located = _located(runner, given, _scope(batch_sizes, len(given)))
    origins = located.origins
    if not origins:
        return None
    first, rest = origins[0], len(origins) - 1
    more = f"; {counted(rest, 'further origin')}" if rest else ""
    return f"{first.layer.name} ({first.layer.kind}), at {sizes(first.batch_sizes)}{more}"


@dataclass(frozen=True)
class _InMemory:
    """Example images in the shape of ``isobatch.models.spec.images.Images``, as far as a repair asks."""

    name: str
    rows: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """A copy of the images ``start`` to ``stop``."""
        return self.rows[start:stop].copy()


def _as_images(images: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = load("isobatch.models.user_networks:as_images")(images)
    return found


def _opened(network: Any) -> Runner:
    runner: Runner = load("isobatch.models.user_networks:open_network")(network)
    return runner


def _scope(batch_sizes: Iterable[int] | None, n_images: int) -> tuple[int, ...]:
    scope = tuple(sorted({n for n in (batch_sizes or range(2, n_images + 1)) if n > 1}))
    if not scope or scope[-1] > n_images:
        raise ValueError(
            f"batch sizes {list(scope)} with {counted(n_images, 'image')}: give numbers from 2 to the number of "
            "images, which are never repeated to fill a batch"
        )
    return scope


def _compared(runner: Runner, images: NDArray[np.float32], scope: Sequence[int]) -> BatchInvariance:
    singles = np.concatenate([runner.run(images[i : i + 1]) for i in range(len(images))])
    if (bits(singles) == bits(singles[:1])).all() and (images != images[:1]).any():
        raise ValueError("every image gives the same output row, which proves nothing: give the network real weights")
    found = []
    for n in scope:
        whole = len(images) - len(images) % n
        rows = np.concatenate([runner.run(images[i : i + n].copy()) for i in range(0, whole, n)])
        alone = singles[:whole].reshape(whole, -1)
        rows = rows.reshape(whole, -1)
        equal = int((bits(alone) == bits(rows)).all(axis=1).sum())
        measured: Any = measure_all(alone, rows)
        found.append(BatchSize(n, whole, equal, measured["max_abs"], measured["max_abs_relative"]))
    return BatchInvariance(tuple(found))


def _located(runner: Runner, images: NDArray[np.float32], scope: Sequence[int]) -> Located:
    if not isinstance(runner, Watched):
        raise CannotRepair("this network cannot be looked into")
    few = images[: max([n for n in scope if n <= _LOCATED], default=_LOCATED)]
    return locate(runner, few, [n for n in scope if n <= len(few)] or [len(few)], _SEED)


def _bench(runner: Any, images: NDArray[np.float32], scope: tuple[int, ...], objective: str) -> Bench:
    threads: int = runner.threads
    if not isinstance(runner, Watched):
        raise CannotRepair("this network cannot be looked into")
    located, shapes = survey(runner, images, scope[-1], _SEED, lambda done: None)
    return Bench(runner, threads, images, scope, located, shapes, objective)


def _already(n_images: int, scope: Sequence[int]) -> Repair:
    return Repair(
        name="native",
        batch_invariant=True,
        scope=f"{n_images} example images at {sizes(scope)}",
        singles_as_native=True,
        n_images=n_images,
        n_comparisons=len(scope),
        note="it is batch-invariant as it is",
    )

"""The ladder: one file a rung, found by looking into this package. Each makes a variant batch-invariant in its own way.

A rung is a module that holds one ``RUNG = Rung(...)``:

* ``order``: rungs are tried in this order; a rung's word in reports is the module's name, with hyphens;
* ``question``: what it asks, in one plain sentence that reports print;
* ``applies_to(bench) -> str``: "" where it can be tried on this variant, else why not;
* ``apply(bench) -> Iterator[Candidate]``: ways to repair it, the most promising first. A generator may ask whether one
  held before it goes on: ``held = yield candidate``.

One rung needs no live network and stands elsewhere: ``decide.switch_variant``, to another variant of the study.

A rung promises nothing: whether a candidate holds is decided by running it, bit by bit, over the stated scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.change import AS_BEFORE, UNCHANGED, Change, OwnThreads
from isobatch.models.spec.discover import discover
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.repair.shapes import Shapes


@dataclass(frozen=True)
class Bench:
    """A variant to be repaired: its live runner, what is known of it, and the scope asked for."""

    runner: Any
    threads: int
    images: NDArray[np.float32]  # examples [n, c, h, w], those on which the origins were located
    batch_sizes: tuple[int, ...]
    located: Located
    shapes: Mapping[str, Shapes] = field(default_factory=dict)
    objective: str = "throughput"
    # Looks at every layer on the scope's images of other sizes too, if there are any, and gives the bench with both.
    elsewhere: Callable[[], Bench] | None = None
    outcome: Outcome = CLASSES  # what counts as an image's answer


@dataclass(frozen=True)
class Candidate:
    """One way to repair."""

    build: Callable[[Any], Runner]  # from a live native runner, of any thread count, to the repaired one
    how: str
    layers: tuple[str, ...] = ()  # those that it changes
    serving: OwnThreads = AS_BEFORE  # what a deployment must do besides loading the artifact
    bitwise: bool = True  # False where only the outcome is to be kept
    change: Change = UNCHANGED  # what ``build`` does to the network


@dataclass(frozen=True)
class Rung:
    """One way to repair a variant."""

    order: float
    question: str
    applies_to: Callable[[Bench], str]
    apply: Callable[[Bench], Iterator[Candidate]]
    name: str = ""  # filled in where it is discovered


def needs(kind: type, why_not: str) -> Callable[[Bench], str]:
    """``applies_to`` of a rung that any runner of this protocol will do for."""
    return lambda bench: "" if isinstance(bench.runner, kind) else why_not


class DoesNotHold(Exception):
    """No candidate of a rung is worth verifying: each was seen to fail, as the text says."""


@cache
def all_rungs() -> tuple[Rung, ...]:
    """Every rung, in order."""
    named = (replace(rung, name=name.replace("_", "-")) for name, rung in discover(__name__, Rung).items())
    return tuple(sorted(named, key=lambda rung: (rung.order, rung.name)))

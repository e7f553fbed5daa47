"""Every call of the whole network padded to one N, or cut into calls of it."""

import time
from collections.abc import Iterator
from operator import methodcaller

import numpy as np

from isobatch.models.spec.change import Change
from isobatch.models.spec.runner import WHOLE, Canonical, Rewritable
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung, needs

_FEW = 4  # images of a call beyond which a single one, padded, is hardly bearable


def apply(bench: Bench) -> Iterator[Candidate]:
    """One image at a time, which is free for single images; then the small N of most images a second."""
    sizes = [1, *(n for n in bench.batch_sizes if 1 < n <= min(_FEW, len(bench.images)))]
    seconds = {n: _seconds(bench, n) / n for n in sizes}
    for size in dict.fromkeys([1, min(seconds, key=lambda n: seconds[n])]):
        rule = Canonical(size=size)
        how = f"every call of the network has {counted(size, 'image')}"
        build = methodcaller("with_canonical", {WHOLE: rule})
        yield Candidate(build, how, change=Change({WHOLE: rule}))


def _seconds(bench: Bench, n: int) -> float:
    spent = []
    batch = np.ascontiguousarray(bench.images[:n])
    for _ in range(3):
        begin = time.perf_counter()
        bench.runner.run(batch)
        spent.append(time.perf_counter() - begin)
    return min(spent)


RUNG = Rung(
    order=50,
    question="Is the network batch-invariant if every call has the same number of images?",
    applies_to=needs(Rewritable, "its calls cannot be put in one shape"),
    apply=apply,
)

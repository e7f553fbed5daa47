"""Whether a network itself mixes examples, which no shape repairs: the control, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isobatch.pipeline.evidence.neighbours import OUTLIER_FACTOR, REPLACEMENTS, beside, scaled
from isobatch.pipeline.user.batches import LARGER, Rows
from isobatch.pipeline.user.checks import Network, same_rows
from isobatch.pipeline.user.origins import Start

LEAK = "neighbour-leak"
MECHANISMS = (LEAK, "wrong-row", "dynamic-scale")
REMEDY = (
    "let it compute from each example alone (batch norms on their running statistics; means, sums and scales over the "
    "other axes only)"
)


def mixes(runner: Network, rows: Rows, n: int) -> int | None:
    """The N at which another neighbour changes the bytes of an example's row, so that N is no matter; None for none.

    Tried at ``n`` and at the next N. The last of the batch is replaced, and the first: what reads a batch in order may
    look one way only.
    """
    for size in sorted({n, min(n + 1, len(rows))}):
        batch = rows[:size].copy()
        for turned in (False, True):
            plain = _kept(runner, batch, turned)
            if any(not same_rows(plain, _kept(runner, other, turned)) for other in _others(batch, turned)):
                return size
    return None


def _others(batch: Rows, turned: bool) -> Iterator[Rows]:
    """The batch with its last example replaced, or its first."""
    given = batch[::-1] if turned else batch
    for replacement in (*REPLACEMENTS.values(), scaled(LARGER), scaled(-OUTLIER_FACTOR)):
        made = beside(given, replacement)
        yield (made[::-1] if turned else made).copy()
    yield np.concatenate([batch[-1:], batch[1:]] if turned else [batch[:-1], batch[:1]])


def _kept(runner: Network, batch: Rows, turned: bool) -> dict[str, Any]:
    """The rows of the examples that are kept: all but the last, or the first."""
    part = slice(1, None) if turned else slice(0, len(batch) - 1)
    return {place: values[part].copy() for place, values in runner.leaves(batch).items()}


def mechanism_of(mixing: bool, start: Start | None) -> str:
    """Why rows depend on the batch: as named at the largest origin, unless that does not account for the mixing."""
    if not mixing:
        return start.mechanism if start else ""
    return start.mechanism if start and start.mechanism in MECHANISMS else LEAK


def shapes_may_repair(mixing: bool, start: Start | None) -> bool:
    """Whether a repair is worth trying: not of a network that mixes examples, unless by a dynamic quantization."""
    return not mixing or bool(start and start.of_quantization)

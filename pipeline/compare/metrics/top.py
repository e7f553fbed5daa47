"""What a user of the classifier sees: changes of the top-1 class and of the set of the five best."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.compare.statistics import rate_upper
from isobatch.pipeline.evidence.outcomes import Gallery, changed, outcome_columns
from isobatch.pipeline.evidence.rows import blocks, ranked

K = 5


def ideal(rows: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None) -> Values:
    """Nothing changes; the bound on the rate of changes is still not zero."""
    return _values(0, 0, len(rows))


def measure(
    reference: NDArray[Any], candidate: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None
) -> Values:
    """``top1_flips``: images whose largest logit is in another class; ``top1_flip_upper95``: the exact one-sided
    95 % bound on the share of such images; ``top5_changes``: images whose *set* of five best classes is another.

    Equal logits rank by class, the lowest first, so every row has one answer; NaN ranks as +inf. Of another outcome
    than classes, flips are the images whose outcome changed (``outcomes.changed``), and there is no set of five.
    """
    flips, changes = int(changed(reference, candidate, outcome, gallery).sum()), 0
    if outcome.kind == "classes":
        reference, candidate = outcome_columns(reference, outcome), outcome_columns(candidate, outcome)
        for part in blocks(reference):
            changes += int((best(reference[part]) != best(candidate[part])).any(axis=1).sum())
    return _values(flips, changes, len(reference))


def best(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask [n, classes] of each row's five best classes (all, where there are fewer)."""
    values = ranked(rows)
    k = min(K, values.shape[1])
    limit = np.partition(values, -k, axis=1)[:, -k, None]
    above, at_limit = values > limit, values == limit
    room = k - above.sum(axis=1, keepdims=True)
    return np.asarray(above | (at_limit & (at_limit.cumsum(axis=1) <= room)))


def _values(flips: int, changes: int, n: int) -> Values:
    return {"top1_flips": flips, "top1_flip_upper95": rate_upper(flips, n), "top5_changes": changes}


METRIC = Metric(measure, ideal, of_outcome=True)

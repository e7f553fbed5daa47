"""The metrics: one file each, found by looking into this package. None is known here by name.

A metric module holds one ``METRIC = Metric(...)`` of two pure functions over arrays [n, classes] (n, classes >= 1) of
one shape, in the network's own type: ``measure(reference, candidate)`` gives its values, computed in float64;
``ideal(rows)`` gives what ``measure(rows, rows)`` would, without measuring. Its keys become keys of ``Comparison``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from isobatch.models.spec.discover import discover
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.evidence.outcomes import Gallery
from isobatch.pipeline.evidence.rows import blocks, same_bits

Values = dict[str, Any]
"""By key: a number, a truth, numbers by name, or None."""


@dataclass(frozen=True)
class Metric:
    """A family of measures."""

    ideal: Callable[..., Values]
    measure: Callable[..., Values]
    of_outcome: bool = False


@cache
def all_metrics() -> tuple[Metric, ...]:
    """Every metric, by name."""
    return tuple(discover(__name__, Metric).values())


def measure_all(
    reference: NDArray[Any], candidate: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None
) -> Values:
    """The values of every metric, by key; the ideal ones, without measuring, where all bytes are equal.

    A metric that is ``of_outcome`` is told the outcome and the gallery of an embedding (None: ``reference``).

    Raises ValueError where the shapes differ or hold no element: such arrays have no measure.
    """
    if reference.shape != candidate.shape or reference.ndim != 2 or reference.size == 0:
        raise ValueError(
            f"cannot measure {list(reference.shape)} against {list(candidate.shape)}: "
            "give two non-empty arrays [n, classes] of one shape"
        )
    equal = all(bool(same_bits(reference[part], candidate[part]).all()) for part in blocks(reference))
    values: Values = {}
    for metric in all_metrics():
        if equal:
            values |= metric.ideal(reference, outcome, gallery) if metric.of_outcome else metric.ideal(reference)
        elif metric.of_outcome:
            values |= metric.measure(reference, candidate, outcome, gallery)
        else:
            values |= metric.measure(reference, candidate)
    return values

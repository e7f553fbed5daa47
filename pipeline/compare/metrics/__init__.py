"""The metrics: one file each, found by looking into this package. None is known here by name.

A metric module holds one ``METRIC = Metric(measure)`` of a pure function over two arrays [n, classes] (n, classes >= 1)
of one shape, in the network's own type: ``measure(reference, candidate)`` gives its values, computed in float64. Its
keys become keys of ``Comparison``.
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

    measure: Callable[..., Values]
    # What ``measure(rows, rows)`` gives, where the number of rows matters; else one row tells it.
    ideal: Callable[..., Values] | None = None
    of_outcome: bool = False  # it is told the outcome, and the gallery of an embedding (None: the reference)

    def of_equal(self, rows: NDArray[Any], *told: Any) -> Values:
        """What ``measure(rows, rows, *told)`` gives, without measuring them all."""
        return self.measure(rows[:1], rows[:1]) if self.ideal is None else self.ideal(rows, *told)


@cache
def all_metrics() -> tuple[Metric, ...]:
    """Every metric, by name."""
    return tuple(discover(__name__, Metric).values())


def measure_all(
    reference: NDArray[Any], candidate: NDArray[Any], outcome: Outcome = CLASSES, gallery: Gallery | None = None
) -> Values:
    """The values of every metric, by key; the ideal ones, without measuring, where all bytes are equal.

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
        told = (outcome, gallery) if metric.of_outcome else ()
        values |= metric.of_equal(reference, *told) if equal else metric.measure(reference, candidate, *told)
    return values

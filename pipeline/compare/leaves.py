"""Several outputs side by side in a row: each measured alone, in its own type, and what may be said of all together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import Leaf, Outcome
from isobatch.pipeline.compare.metrics import measure_all
from isobatch.pipeline.evidence.outcomes import Gallery
from isobatch.pipeline.evidence.rows import same_bits
from isobatch.pipeline.records.study import OutputComparison

_WORST_IS_LARGEST = ("max_abs_relative", "max_ulp", "relative_l2")
_WORST_IS_SMALLEST = ("sqnr_db", "cosine_min")


def measure_leaves(
    reference: NDArray[Any], candidate: NDArray[Any], outcome: Outcome, gallery: Gallery | None = None
) -> dict[str, Any]:
    """``measure_all``; of several outputs also each one alone, under ``outputs``.

    Measures that relate a difference to the size of values are then the worst of any output: outputs of different size
    have no common scale. NaN is the worst of all.
    """
    if len(outcome.leaves) < 2 or reference.shape[1] != outcome.leaves[-1].stop:
        return measure_all(reference, candidate, outcome, gallery)
    alone = [measure_all(_own(leaf, reference), _own(leaf, candidate)) for leaf in outcome.leaves]
    whole = measure_all(reference, candidate, outcome, gallery)
    for name in _WORST_IS_LARGEST:
        whole[name] = float(np.max([values[name] for values in alone]))
    for name in _WORST_IS_SMALLEST:
        whole[name] = float(np.min([values[name] for values in alone]))
    worst = max(alone, key=lambda values: np.nan_to_num(values["max_ulp"], nan=np.inf))
    whole["ulp_at"] = worst["ulp_at"]
    whole["n_ulp_excluded"] = sum(values["n_ulp_excluded"] for values in alone)
    whole["allclose"] = all(bool(values["allclose"]) for values in alone)
    names = OutputComparison.model_fields.keys() - {"name"}
    whole["outputs"] = [
        OutputComparison(name=leaf.name, **{name: values[name] for name in names})
        for leaf, values in zip(outcome.leaves, alone, strict=True)
    ]
    return whole


def _own(leaf: Leaf, rows: NDArray[Any]) -> NDArray[Any]:
    """The columns of this output, in its own type where that loses nothing: a variant may give a wider one."""
    columns = np.ascontiguousarray(rows[:, leaf.start : leaf.stop])
    kind = np.dtype(np.uint8 if leaf.dtype == "bool" else leaf.dtype)
    with np.errstate(all="ignore"):
        narrowed = columns.astype(kind)
        back = narrowed.astype(columns.dtype)
    return narrowed if bool(same_bits(columns, back).all()) else columns

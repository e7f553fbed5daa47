"""How many elements and images have other bytes."""

from typing import Any

from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.rows import blocks, same_bits


def ideal(rows: NDArray[Any]) -> Values:
    """Every element and image equal."""
    return {"n_elements": rows.size, "n_elements_differing": 0, "n_images_equal": len(rows), "bitwise_equal": True}


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """Counts by bytes: NaN equals itself, 0.0 does not equal -0.0, values of two types are never equal."""
    elements = images = 0
    for part in blocks(reference):
        differs = ~same_bits(reference[part], candidate[part])
        elements += int(differs.sum())
        images += int(differs.any(axis=1).sum())
    return {
        "n_elements": reference.size,
        "n_elements_differing": elements,
        "n_images_equal": len(reference) - images,
        "bitwise_equal": elements == 0,
    }


METRIC = Metric(measure, ideal)

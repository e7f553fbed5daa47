"""The error of a typical image: what one image more or less, or one that is very wrong, hardly moves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.rows import absolute_difference, blocks


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """``relative_error_median``: the median over images of ||candidate - reference|| / ||reference|| of one image.

    NaN where an image has no answer: a NaN, a reference of zeros or of infinite norm.
    """
    errors = []
    for part in blocks(reference):
        signal = reference[part].astype(np.float64)
        noise = absolute_difference(reference[part], candidate[part])
        largest = np.maximum(np.abs(signal).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # the largest first: squares may overflow
            ratio = np.linalg.norm(noise / largest, axis=1) / np.linalg.norm(signal / largest, axis=1)
        errors.append(np.where((noise == 0).all(axis=1), 0.0, ratio))
    per_image = np.concatenate(errors)
    return {"relative_error_median": float(np.median(per_image)) if np.isfinite(per_image).all() else float("nan")}


METRIC = Metric(measure)

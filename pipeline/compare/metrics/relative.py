"""Size and direction of the error against the signal: relative L2, SQNR, cosine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.metrics import Metric, Values
from isobatch.pipeline.evidence.rows import absolute_difference, blocks, ratio


def measure(reference: NDArray[Any], candidate: NDArray[Any]) -> Values:
    """``relative_l2``: ||candidate - reference|| / ||reference|| over all rows; ``sqnr_db``: the same in decibels,
    -20 log10(relative_l2); ``cosine_min``: the smallest cosine between a reference row and its candidate row.

    Rows without any difference have cosine 1. NaN where there is no answer: a NaN, a row of zeros against another,
    an infinite signal.
    """
    signals, noises, cosines = [], [], []
    for part in blocks(reference):
        apart = absolute_difference(reference[part], candidate[part])
        signals.append(_norm(_row_norms(reference[part].astype(np.float64))))
        noises.append(_norm(_row_norms(apart)))
        cosines.append(_cosines(reference[part], candidate[part], apart).min())
    signal, noise = _norm(np.asarray(signals)), _norm(np.asarray(noises))
    relative = ratio(noise, signal)
    with np.errstate(divide="ignore"):
        decibels = float(-20.0 * np.log10(relative))
    return {"relative_l2": relative, "sqnr_db": decibels, "cosine_min": float(np.min(cosines))}


def _row_norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    # Dividing by the largest element first keeps squares from overflowing, and from vanishing into a false zero.
    largest = np.abs(rows).max(axis=1)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(invalid="ignore", over="ignore"):
        norms = scale * np.sqrt(np.square(rows / scale[:, None]).sum(axis=1))
    return np.asarray(np.where(np.isfinite(largest), norms, largest))


def _norm(values: NDArray[np.float64]) -> float:
    return float(_row_norms(values[None, :])[0])


def _cosines(reference: NDArray[Any], candidate: NDArray[Any], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = _directions(reference), _directions(candidate)
    with np.errstate(invalid="ignore"):
        cosines = np.clip((first * second).sum(axis=1), -1.0, 1.0)
    return np.asarray(np.where((apart == 0).all(axis=1), 1.0, cosines))


def _directions(rows: NDArray[Any]) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    largest = np.abs(values).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = values / largest  # before the norm, which could overflow
        return np.asarray(values / np.sqrt(np.square(values).sum(axis=1, keepdims=True)))


METRIC = Metric(measure)

"""What an image is answered, by the kind of outcome: whether that changed, and how far it is from changing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.evidence.rows import blocks, same_bits, top1, top1_margin

Rows = NDArray[Any]
_AT_ONCE = 256
_LEAST_SHARE = 1 / (1 + np.exp(8.0))  # of a sigmoid: beyond, float32 has one step of 1 - p for 2e-4 of the logit


@dataclass(frozen=True)
class Gallery:
    """Of an embedding the rows [m, values] among which the nearest is sought, and the place there of each image asked,
    [n], which is left out."""

    rows: Rows
    own: NDArray[np.int64]


def outcome_columns(rows: Rows, outcome: Outcome) -> Rows:
    """The columns that the outcome is read from."""
    return rows[:, outcome.start : outcome.stop]


def decided(rows: Rows, outcome: Outcome = CLASSES) -> NDArray[np.int64]:
    """The class of each row, int64 [n]; of ``binary`` 0 or 1. Raises ValueError for outcomes that are no class."""
    if outcome.kind == "classes":
        return top1(outcome_columns(rows, outcome))
    if outcome.kind == "binary":
        return _above(rows, outcome)[:, 0].astype(np.int64)
    raise ValueError(f"an outcome of kind {outcome.kind} is no class that labels could be compared with")


def changed(
    reference: Rows, candidate: Rows, outcome: Outcome = CLASSES, gallery: Gallery | None = None
) -> NDArray[np.bool_]:
    """For each image whether its outcome is another one in ``candidate`` than in ``reference``, [n].

    ``gallery``: of an embedding, where it is not ``reference``. Raw rows have no outcome but their bytes.
    """
    if outcome.kind in ("classes", "binary"):
        return np.asarray(decided(reference, outcome) != decided(candidate, outcome))
    if outcome.kind == "labels":
        return np.asarray((_above(reference, outcome) != _above(candidate, outcome)).any(axis=1))
    if outcome.kind == "embedding":
        among = gallery or Gallery(reference, np.arange(len(reference)))
        return np.asarray(_nearest(reference, among, outcome) != _nearest(candidate, among, outcome))
    same = [same_bits(reference[part], candidate[part]).all(axis=1) for part in blocks(reference)]
    return ~np.concatenate(same) if same else np.zeros(0, np.bool_)


def outcome_margin(rows: Rows, outcome: Outcome = CLASSES) -> NDArray[np.float64]:
    """For each row a margin m, float64 [n]: as long as no value of it moves by m / 2 or more, its outcome stays.

    Where the outcome is looked ``through`` an operator, values are those of ``before_last``, and the threshold too.

    classes: the largest value minus the second largest. binary and labels: twice the distance of the nearest value to
    the threshold. embedding: with cosines u . a and u . b of the nearest other row a and any other b,
    m = (u . a - u . b) |r| / (|a - b| sqrt(d)), the smallest over b: a row r moved by at most e a value turns by at
    most 2 e sqrt(d) / |r|, and the two cosines apart by |a - b| times that. The other rows of the set stay as they are.
    raw: 0, as any change of a byte is a change.
    """
    values = before_last(rows, outcome)
    if outcome.kind == "classes":
        return top1_margin(values)
    if outcome.kind in ("binary", "labels"):
        threshold = _logit(np.float64(outcome.threshold)) if outcome.through else outcome.threshold
        return np.asarray(2 * np.abs(values.astype(np.float64) - threshold).min(axis=1))
    if outcome.kind == "raw" or len(rows) < 3:
        return np.zeros(len(rows))
    return _turning(values.astype(np.float64))


def before_last(rows: Rows, outcome: Outcome) -> Rows:
    """The columns of the outcome; seen through a last Softmax or Sigmoid as what went into it, float64 [n, values].

    Softmax: log p, whose differences are those of the logits; p below the smallest normal number, which has lost its
    digits, is taken for that. Sigmoid: log(p / (1 - p)), as far as 1 - p has digits: logits beyond 8 count as 8.
    """
    values = outcome_columns(rows, outcome)
    if not outcome.through:
        return values
    shares = values.astype(np.float64)
    if outcome.through == "Sigmoid":
        return np.asarray(_logit(shares))
    kind = values.dtype if values.dtype in (np.float16, np.float64) else np.dtype(np.float32)
    return np.asarray(np.log(np.maximum(shares, float(np.finfo(kind).tiny))))


def _logit(shares: Any) -> Any:
    limited = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    return np.log(limited / (1 - limited))


def _above(rows: Rows, outcome: Outcome) -> NDArray[np.bool_]:
    values = outcome_columns(rows, outcome).astype(np.float64)
    return np.asarray(np.isnan(values) | (values > outcome.threshold))


def _nearest(rows: Rows, gallery: Gallery, outcome: Outcome) -> NDArray[np.int64]:
    """The place in the gallery of the row of the largest cosine, its own place left out; -1 where there is no other."""
    places = np.full(len(rows), -1)
    if len(gallery.rows) < 2:
        return places
    unit, others = _unit(outcome_columns(rows, outcome)), _unit(outcome_columns(gallery.rows, outcome))
    for part in _parts(len(rows)):
        similarity = unit[part] @ others.T
        similarity[np.arange(len(similarity)), gallery.own[part]] = -np.inf
        places[part] = np.nan_to_num(similarity, nan=np.inf, neginf=-np.inf).argmax(axis=1)
    return places


def _parts(count: int) -> Iterator[slice]:
    """Rows of which each is compared with all: so many at once that memory does not grow with their square."""
    return (slice(start, start + _AT_ONCE) for start in range(0, count, _AT_ONCE))


def cosines(rows: Rows, others: Rows) -> NDArray[np.float64]:
    """[n, m]: the cosine of each of n rows with each of m others; NaN for a row of zeros."""
    return np.asarray(_unit(rows) @ _unit(others).T)


def _turning(values: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = _unit(values)
    lengths = np.linalg.norm(values, axis=1)
    margins = np.zeros(len(values))
    for part in _parts(len(values)):
        for i, row in enumerate(unit[part] @ unit.T, part.start):
            row[i] = -np.inf
            best = int(row.argmax())
            others = np.delete(np.arange(len(values)), [i, best])
            apart = np.linalg.norm(unit[best] - unit[others], axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                gaps = (row[best] - row[others]) * lengths[i] / (apart * np.sqrt(values.shape[1]))
            margins[i] = np.nan_to_num(gaps, nan=0.0).min(initial=np.inf)
    return margins


def _unit(rows: Rows) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))

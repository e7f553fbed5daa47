"""Output rows: what several stages ask of arrays [n, classes] of logits in the network's own type."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.evidence import bits

_BLOCK_ELEMENTS = 2**20
_DIGEST_BYTES = 16


def blocks(rows: NDArray[Any]) -> Iterator[slice]:
    """Slices of about a million elements that cover all rows: float64 temporaries stay near 8 MB each."""
    step = max(1, _BLOCK_ELEMENTS // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


def same_bits(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask of the elements, as the candidate has them, whose bytes are equal: of two shapes or types none are."""
    if (reference.shape, reference.dtype) != (candidate.shape, candidate.dtype):
        return np.zeros(candidate.shape, dtype=np.bool_)
    if reference.dtype.kind == "c":  # of complex128 there is no integer of the same width
        return np.asarray(same_bits(reals(reference), reals(candidate)).all(axis=-1))
    return np.asarray(bits(reference) == bits(candidate))


def reals(rows: NDArray[Any]) -> NDArray[Any]:
    """Complex numbers as pairs of floats, on a last axis of their own; others as they are."""
    return np.stack([rows.real, rows.imag], axis=-1) if rows.dtype.kind == "c" else rows


def absolute_difference(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.float64]:
    """|candidate - reference| as float64 [n, classes]: exactly 0 where the bytes or the values (inf) are equal.

    NaN where only one side is NaN, or both are with other bytes.
    """
    first, second = reference.astype(np.float64), candidate.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(second - first)
    apart[same_bits(reference, candidate) | (first == second)] = 0.0
    return apart


def ratio(part: float, whole: float) -> float:
    """A part of what may be 0, infinite or NaN, by the rules of floats; nothing is no part of it, whatever it is."""
    if part == 0.0:
        return 0.0
    with np.errstate(all="ignore"):
        return float(np.float64(part) / np.float64(whole))


def row_distance(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.float64]:
    """The largest |candidate - reference| of each row, float64 [n]."""
    distance = np.zeros(len(reference))
    for part in blocks(reference):
        distance[part] = absolute_difference(reference[part], candidate[part]).max(axis=1, initial=0.0)
    return distance


def ranked(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The rows as float64 with NaN in the place of +inf, so that every row has an order."""
    values = rows.astype(np.float64)
    return np.where(np.isnan(values), np.inf, values)


def top1(rows: NDArray[Any]) -> NDArray[np.int64]:
    """The class of the largest logit of each row, int64 [n]; equal logits: the lowest class. NaN ranks as +inf."""
    classes = np.zeros(len(rows), dtype=np.int64)
    for part in blocks(rows):
        classes[part] = ranked(rows[part]).argmax(axis=1)
    return classes


def top1_margin(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The largest logit minus the second largest of each row, float64 [n]; inf where there is one class only."""
    margins = np.full(len(rows), np.inf)
    if rows.shape[1] < 2:
        return margins
    for part in blocks(rows):
        best = np.partition(rows[part].astype(np.float64), -2, axis=1)[:, -2:]
        with np.errstate(invalid="ignore"):
            margins[part] = best[:, 1] - best[:, 0]
    return margins


def non_finite_rows(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of the rows that hold a NaN or an infinity."""
    bad = np.zeros(len(rows), dtype=np.bool_)
    for part in blocks(rows):
        bad[part] = ~np.isfinite(rows[part].astype(np.float64)).all(axis=1)
    return np.flatnonzero(bad)


def all_alike(rows: NDArray[Any]) -> bool:
    """Whether two or more rows are all one row, byte for byte."""
    return len(rows) > 1 and all(bool((bits(rows[part]) == bits(rows[:1])).all()) for part in blocks(rows))


def first_row_distance(alone: Rows, together: Rows) -> tuple[float, float, int | None] | None:
    """(largest |difference|, relative L2, of integers how many differ) of the first row of the first output.

    None where it is not in both: experts of a mixture see another number of rows. Infinities that are equal, as a mask
    of attention adds them, are no difference, and no part of the norm.
    """
    if not (alone and together):
        return None
    first, second = reals(np.atleast_1d(alone[0])), reals(np.atleast_1d(together[0]))
    if first.shape[1:] != second.shape[1:] or len(first) > len(second):
        return None
    if same_bits(first, second[: len(first)]).all():
        return 0.0, 0.0, 0 if np.issubdtype(first.dtype, np.integer) else None
    difference = absolute_difference(first, second[: len(first)])
    left = np.nan_to_num(first.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    norm = float(np.sqrt(np.square(left).sum()))
    share = float(np.sqrt(np.square(difference).sum())) / norm if norm else 0.0
    steps = int((difference > 0).sum()) if np.issubdtype(first.dtype, np.integer) else None
    return float(difference.max(initial=0.0)), share, steps


def largest_value(values: NDArray[Any]) -> float:
    """The largest finite |value|, as float64."""
    finite = np.nan_to_num(np.abs(values.astype(np.float64)), nan=0.0, posinf=0.0)
    return float(finite.max(initial=0.0))


def row_count(inputs: Rows) -> int:
    """How many rows a call has: as many as the longest batch axis of its tensors."""
    return max(len(part) for part in inputs if part.ndim)


def each(inputs: Rows, change: Callable[[NDArray[Any]], NDArray[Any]], count: int | None = None) -> Rows:
    """The tensors that have a batch axis, of ``count`` rows, changed; a value that the whole batch shares as it is."""
    count = row_count(inputs) if count is None else count
    return tuple(change(part) if part.ndim and len(part) == count else part for part in inputs)


def rows_at(inputs: Rows, which: slice | Sequence[int] | NDArray[np.int64], count: int | None = None) -> Rows:
    """These rows of each tensor that has a batch axis."""
    return each(inputs, lambda part: part[which], count)


def same_row(alone: Rows, together: Rows, at: int, count: int) -> bool:
    """Whether a call of one row alone gave, byte for byte, what it is given at this place of a call of ``count``.

    What has no batch axis belongs to each row.
    """
    for single, many in zip(alone, together, strict=True):
        own = many[at : at + 1] if many.ndim and len(many) == count else many
        first, second = reals(np.atleast_1d(single)), reals(np.atleast_1d(own))
        if first.shape != second.shape or not same_bits(first, second).all():
            return False
    return True


def with_row(changed: Rows, inputs: Rows, at: int) -> Rows:
    """The changed rows, but the one at this place as it is in ``inputs``; what all rows share as it is changed."""
    count = row_count(inputs)
    kept = []
    for part, own in zip(changed, inputs, strict=True):
        if own.ndim and len(own) == count:
            part = np.array(part, own.dtype)
            part[at] = own[at]
        kept.append(part)
    return tuple(kept)


def row_digests(outputs: Sequence[NDArray[Any]], rows: int) -> NDArray[Any]:
    """One digest a row, [rows] of bytes, of what it is in all outputs."""
    made = np.zeros(rows, f"S{2 * _DIGEST_BYTES}")
    for row in range(rows):
        parts = (part[row * len(part) // rows : (row + 1) * len(part) // rows].tobytes() for part in outputs)
        made[row] = hashlib.blake2b(b"".join(parts), digest_size=_DIGEST_BYTES).hexdigest()
    return made


def joined_digests(before: NDArray[Any] | None, rows: NDArray[Any], count: int) -> NDArray[Any]:
    """Digests [count] of what each row was in the trials before and is now; empty for rows that this N does not see."""
    made = np.zeros(count, rows.dtype)
    made[: len(rows)] = rows
    if before is not None:
        for place, pair in enumerate(zip(before[: len(rows)], rows, strict=True)):
            made[place] = hashlib.blake2b(b"".join(map(bytes, pair)), digest_size=_DIGEST_BYTES).hexdigest()
    return made

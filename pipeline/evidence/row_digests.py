"""Digests of rows over several trials: two N whose rows have equal digests agreed in every trial."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES = 16


def row_digests(outputs: Sequence[NDArray[Any]], rows: int) -> NDArray[Any]:
    """One digest a row, [rows] of bytes, of what it is in all outputs."""
    made = np.zeros(rows, f"S{2 * _BYTES}")
    for row in range(rows):
        parts = (part[row * len(part) // rows : (row + 1) * len(part) // rows].tobytes() for part in outputs)
        made[row] = hashlib.blake2b(b"".join(parts), digest_size=_BYTES).hexdigest()
    return made


def joined_digests(before: NDArray[Any] | None, rows: NDArray[Any], count: int) -> NDArray[Any]:
    """Digests [count] of what each row was in the trials before and is now; empty for rows that this N does not see."""
    made = np.zeros(count, rows.dtype)
    made[: len(rows)] = rows
    if before is not None:
        for place, pair in enumerate(zip(before[: len(rows)], rows, strict=True)):
            made[place] = hashlib.blake2b(b"".join(map(bytes, pair)), digest_size=_BYTES).hexdigest()
    return made

"""Numbers next to rounding ties, where float formulas that differ in one rounding give different codes."""

import numpy as np
from numpy.typing import NDArray

TIE = 0.5  # of a step
STEPS = (16, 112)  # output steps to put ties between: inside of the range also where it is reduced to 7 bits
_NEAREST = 8  # pairs of inputs of an addition, of 65536, so within about 1e-4 of a step
_ULPS = 2

ScaleAndZero = tuple[float, int]


def nearby(exact: NDArray[np.floating], draws: np.random.Generator) -> NDArray[np.float32]:
    """The nearest float32, moved by up to 2 units in the last place."""
    rounded = exact.astype(np.float32)
    moves = draws.integers(-_ULPS, _ULPS, exact.shape, endpoint=True)
    return (rounded + moves * np.spacing(rounded)).astype(np.float32)


def pairs(
    first: ScaleAndZero,
    second: ScaleAndZero,
    output: ScaleAndZero,
    shape: tuple[int, ...],
    draws: np.random.Generator,
    offset: float,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two arrays of uint8 codes whose exact sums, in output steps, lie nearest to a whole step plus ``offset``."""
    a, b = ((np.arange(256.0) - zero) * scale for scale, zero in (first, second))
    scale, zero = output
    steps = np.add.outer(a, b) / scale + zero
    distance = np.abs((steps - offset + 0.5) % 1 - 0.5)
    distance[(steps < STEPS[0]) | (steps > STEPS[1])] = np.inf
    nearest = np.argsort(distance, axis=None)[:_NEAREST]
    chosen = draws.choice(nearest, shape)
    return (chosen // 256).astype(np.uint8), (chosen % 256).astype(np.uint8)

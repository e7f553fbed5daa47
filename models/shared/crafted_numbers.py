"""Numbers that show where an integer kernel leaves its exact sums: next to rounding ties, and as large as they can be.

Next to ties float formulas that differ in one rounding give different codes.
"""

import numpy as np
from numpy.typing import NDArray

TIE = 0.5  # of a step
STEPS = (16, 112)  # output steps to put ties between: inside of the range also where it is reduced to 7 bits
_NEAREST = 8  # pairs of inputs of an addition, of 65536, so within about 1e-4 of a step
_ULPS = 2

CODES = {"extremes": 255, "tame": 127}
"""Of all inputs: two products of 255 leave 16 bits, of 127 none do."""
_FAR, _NEAR = 64, 16  # steps from zero to the result of extremes: a clipped pair moves it by tens

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


def extreme_weights(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """127 in every third channel, -128 in the next, both in turn in the last.

    With inputs of 255 neighbouring products of the first two kinds sum to 64770 and -65280, beyond 16 bits; those of
    the third do not.
    """
    weights = np.full(shape, 127, np.int8)
    weights[1::3] = -128
    weights[2::3, 1::2] = -128
    return weights


def extreme_steps(zero_point: int) -> int | None:
    """How far from zero the results of extremes are put, in steps of an output of uint8; None where no room is."""
    steps = min(_FAR, (255 - zero_point) // 2)
    return steps if steps >= _NEAR else None

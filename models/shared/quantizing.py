"""Drawn values as 8-bit integers with plain scales, made in numpy so that no kernel under test takes part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SIGMAS = 4.0  # of a standard normal activation: what lies beyond is clipped
_LARGEST = 127


@dataclass(frozen=True)
class Scale:
    """``step`` and ``zero`` of uint8 activations that use ``bits`` of the 8."""

    step: float
    zero: int
    bits: int


def activation_scale(bits: int) -> Scale:
    """The scale under which ``bits`` bits span 4 standard deviations on either side of zero."""
    return Scale(2 * _SIGMAS / (2**bits - 1), 2 ** (bits - 1), bits)


def codes(rows: NDArray[np.float32], scale: Scale) -> NDArray[np.uint8]:
    """Rows as uint8, clipped to the bits in use."""
    shifted = np.rint(rows / np.float32(scale.step)) + np.float32(scale.zero)
    return np.asarray(np.clip(shifted, 0, 2**scale.bits - 1), np.uint8)


def weight_codes(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Weights [outputs, ...] as int8 and the step of each output, symmetric."""
    steps = np.abs(weight).reshape(len(weight), -1).max(axis=1).astype(np.float64) / _LARGEST
    return np.rint(weight / steps.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.int8), steps

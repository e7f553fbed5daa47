"""Single operations at the shapes they have in ResNet50, and the arithmetics to measure them in.

Imports no runtime: quantized values too are made in numpy, so that no kernel under test takes part.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Operation:
    """One operation."""

    kind: str
    shape: tuple[int, ...]  # of one image's input, without the batch axis
    outputs: int = 0  # channels or features made
    kernel: int = 1  # of convolutions and pools, in pixels
    stride: int = 1  # likewise

    @property
    def name(self) -> str:
        """What it is called in tables, unique: ``conv2d 3x3/2 128 to 128, 56 px``."""
        window = f" {self.kernel}x{self.kernel}{f'/{self.stride}' if self.stride > 1 else ''}"
        window = window if self.kind in ("conv2d", "max-pool") else ""
        channels = f"{self.shape[0]} to {self.outputs}" if self.outputs else f"{self.shape[0]}"
        return f"{self.kind}{window} {channels}{f', {self.shape[1]} px' if len(self.shape) == 3 else ''}"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Of a convolution [outputs, channels, kernel, kernel], of a matrix product [outputs, features]."""
        return (self.outputs, self.shape[0], *((self.kernel, self.kernel) if self.kind == "conv2d" else ()))


@dataclass(frozen=True)
class Drawn:
    """Parameters in float32; an array is empty where an operation has none."""

    weight: NDArray[np.float32]  # as ``Operation.weight_shape``
    bias: NDArray[np.float32]  # [outputs]
    per_channel: NDArray[np.float32]  # [4, channels]: scale, shift, mean and variance of a batch norm


def draw_parameters(operation: Operation, generator: np.random.Generator) -> Drawn:
    """Normal values; weights divided by the square root of the number of summands, so that outputs are near 1."""
    channels = operation.shape[0] if operation.kind == "batch-norm" else 0
    weight = generator.standard_normal(operation.weight_shape, np.float32)
    per_channel = generator.standard_normal((4, channels), np.float32)
    per_channel[3] = np.square(per_channel[3]) + np.float32(0.1)  # a variance is above 0
    root = np.float32(math.sqrt(max(1, math.prod(operation.weight_shape[1:]))))
    return Drawn(weight / root, generator.standard_normal(operation.outputs, np.float32), per_channel)


def draw_rows(operation: Operation, count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Input rows [count, *shape] of normal values: windows into one drawn stretch, each begun a little further on.

    Drawing every value anew would take longer than all kernels together.
    """
    size = math.prod(operation.shape)
    stretch = generator.standard_normal(size + count * _SHIFT, np.float32)
    rows = [stretch[i * _SHIFT : i * _SHIFT + size] for i in range(count)]
    return np.stack(rows).reshape(count, *operation.shape)


_SIGMAS = 4.0  # of a standard normal activation: what lies beyond is clipped
_LARGEST = 127  # of int8


@dataclass(frozen=True)
class Scale:
    """The scale of uint8 activations."""

    step: float
    zero: int
    bits: int  # of the 8 that are used


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


_SHIFT = 997  # prime, so that no window repeats another's alignment with channels or vector lanes

Rows = NDArray[Any]


@dataclass(frozen=True)
class Kernel:
    """One operation ready to run."""

    run: Callable[[Rows], Rows]  # from input rows [n, *shape] to output rows [n, ...], integers if quantized
    # Float32 rows as the operation takes them, such as quantized codes; made once, outside of what is tested.
    given: Callable[[NDArray[np.float32]], Rows] = lambda rows: rows


Prepare = Callable[[Operation, Drawn], Kernel | None]
"""The kernel of an operation with these parameters; None where this arithmetic has no such operation."""

Open = Callable[[str, int], AbstractContextManager[Prepare]]
"""``open(arithmetic, threads)``: a runtime set up for one arithmetic. Raises VariantUnavailable where it cannot be."""


@dataclass(frozen=True)
class Arithmetic:
    """One runtime and precision, by the name of the variant in it."""

    name: str
    open: str  # the dotted path of an ``Open``


_TORCH = "isobatch.models.operations.pytorch:open_torch"
_ORT = "isobatch.models.operations.ort:open_ort"

ARITHMETICS = (
    *(Arithmetic(name, _TORCH) for name in ("fp64", "fp32", "fp16", "bf16", "int8-fbgemm", "int8-x86", "int8-onednn")),
    *(Arithmetic(name, _ORT) for name in ("ort-fp32", "ort-int8")),
)

_CONVOLUTIONS = (  # channels in, channels out, kernel, stride, side in pixels
    (3, 64, 7, 2, 224),
    (64, 64, 1, 1, 56),
    (64, 64, 3, 1, 56),
    (128, 128, 3, 2, 56),
    (512, 128, 1, 1, 28),
    (256, 256, 3, 1, 14),
    (256, 1024, 1, 1, 14),
    (1024, 2048, 1, 2, 14),
    (512, 512, 3, 1, 7),
    (2048, 512, 1, 1, 7),
)

OPERATIONS = (
    *(Operation("conv2d", (i, side, side), o, kernel, stride) for i, o, kernel, stride, side in _CONVOLUTIONS),
    Operation("linear", (2048,), 1000),
    Operation("matmul", (2048,), 1000),
    Operation("dynamic-linear", (2048,), 1000),
    Operation("batch-norm", (256, 28, 28)),
    Operation("batch-norm", (2048, 7, 7)),
    Operation("relu", (512, 28, 28)),
    Operation("add", (512, 28, 28)),
    Operation("max-pool", (64, 112, 112), kernel=3, stride=2),
    Operation("average-pool", (2048, 7, 7)),
    Operation("softmax", (1000,)),
    Operation("quantize", (3, 224, 224)),
)
"""The distinct convolutions of ResNet50 that span its sizes, and one or two of every other kind."""

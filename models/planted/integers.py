"""Quantized convolutions with a planted dependence on N. Their sums are exact, in float64, unless that is the fault.

Each makes one computation, as a kernel of its own that is registered with torch, and takes the place of torch's module
with its weights, scales and biases.
"""

from typing import Any

import torch
from torch import Tensor
from torch.ao.nn.intrinsic import quantized as nniq
from torch.nn import functional

from isobatch.models.planted.floats import layer

_LIMITS = -(2**15), 2**15 - 1  # of a sum of two products in 16 bits
_HIGHEST = 255


class _QuantizedConvolution(nniq.ConvReLU2d):
    """A quantized convolution with ReLU whose packed weights are used by a kernel of ours."""

    kernel: Any

    def __init__(self, original: Any) -> None:
        self.__dict__.update(original.__dict__)

    def forward(self, input: Tensor) -> Tensor:
        """What the kernel makes of these rows."""
        own: Any = self
        geometry = (list(own.stride), list(own.padding), float(own.scale), int(own.zero_point))
        result: Tensor = self.kernel(input, own.weight(), own.bias(), *geometry)
        return result


@layer(_QuantizedConvolution, "other_epilogue::conv2d_relu")
def OtherEpilogue(
    x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int], scale: float, zero: int
) -> Tensor:
    """Makes codes of the same sums by another order of roundings when N > 1."""
    sums = _sums(x, weight, stride, padding)
    s_x, s_w, s_y = torch.tensor(x.q_scale()), _weight_scales(weight), torch.tensor(scale)
    if len(x) == 1:
        steps = (sums.float() + _per_channel(bias / (s_x * s_w))) * _per_channel((s_x * s_w) / s_y)
    else:
        steps = ((sums.float() * s_x) * _per_channel(s_w) + _per_channel(bias)) * (1 / s_y)
    return _coded(steps, scale, zero)


@layer(_QuantizedConvolution, "clipped::conv2d_relu")
def Clipped(
    x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int], scale: float, zero: int
) -> Tensor:
    """Clips sums of two products at 16 bits when N > 1."""
    sums = _sums(x, weight, stride, padding) if len(x) == 1 else _clipped_sums(x, weight, stride, padding)
    both = x.q_scale() * _weight_scales(weight)
    return _coded((sums.float() + _per_channel(bias / both)) * _per_channel(both / scale), scale, zero)


def _sums(x: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """Exact sums of products [n, outputs, h, w], whole numbers in float64."""
    centred = x.int_repr().double() - x.q_zero_point()
    return functional.conv2d(centred, weight.int_repr().double(), None, stride, padding)


def _clipped_sums(x: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """The same, where codes times weights are added in pairs of channels that keep to 16 bits (``vpmaddubsw``)."""
    codes, weights = x.int_repr().double(), weight.int_repr().double()
    padded = functional.pad(codes, (padding[1], padding[1], padding[0], padding[0]), value=float(x.q_zero_point()))
    rows, columns = (
        (padded.shape[axis] - weights.shape[axis]) // step + 1 for axis, step in zip((2, 3), stride, strict=True)
    )
    total = torch.zeros(len(x), len(weights), rows, columns, dtype=torch.float64)
    for i in range(weights.shape[2]):
        for j in range(weights.shape[3]):
            seen = padded[:, :, i : i + rows * stride[0] : stride[0], j : j + columns * stride[1] : stride[1]]
            products = seen[:, None] * weights[None, :, :, i, j, None, None]
            pairs = products[:, :, 0::2] + products[:, :, 1::2]
            total += pairs.clamp(*_LIMITS).sum(2)
    return total - x.q_zero_point() * weights.sum((1, 2, 3))[:, None, None]


def _weight_scales(weight: Tensor) -> Tensor:
    return weight.q_per_channel_scales().float()


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


def _coded(steps: Tensor, scale: float, zero: int) -> Tensor:
    codes = (torch.round(steps) + zero).clamp(zero, _HIGHEST).to(torch.uint8)
    return torch._make_per_tensor_quantized_tensor(codes, scale, zero)

"""Float layers with a planted dependence on N. Each makes one computation, as a kernel of its own.

Registered with torch, so that a network which holds one is looked into as it would be with any other kernel. All but
what is planted is computed element by element or row by row, and cannot depend on N.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_THRESHOLD = 2  # rows up to which the tree is a chain
_BLOCKS = 8
_LANES = 8
_LEAK = 0.01
_LEVELS = 127.0


def chain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x @ weight.T + bias for x [n, k]: products added one after the other, in the order of k."""
    columns = weight.t().contiguous()
    total = x[:, :1] * columns[0]
    for k in range(1, x.shape[1]):
        total = total + x[:, k : k + 1] * columns[k]
    return total + bias


def blocks(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same sum in 8 blocks of neighbours, each a chain, and then a chain of the blocks."""
    products = (x.t()[:, :, None] * weight.t().contiguous()[:, None]).reshape(_BLOCKS, -1, len(x), len(weight))
    sums = products[:, 0]
    for k in range(1, products.shape[1]):
        sums = sums + products[:, k]
    total: Tensor = sums[0]
    for block in range(1, _BLOCKS):
        total = total + sums[block]
    return total + bias


class _Linear(nn.Linear):
    """The weights of a linear layer, used by a kernel of ours."""

    kernel: Any

    def __init__(self, original: nn.Linear) -> None:
        super().__init__(original.in_features, original.out_features)
        self.load_state_dict(original.state_dict())

    def forward(self, input: Tensor) -> Tensor:
        """What the kernel makes of these rows [n, k]."""
        result: Tensor = self.kernel(input, self.weight, self.bias)
        return result


class _Convolution(nn.Conv2d):
    """The weights of a convolution without bias, used by a kernel of ours."""

    kernel: Any

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__(1, 1, 1)
        self.__dict__.update(original.__dict__)

    def forward(self, input: Tensor) -> Tensor:
        """What the kernel makes of these rows [n, channels, h, w]."""
        geometry = list(self.stride), [int(length) for length in self.padding]
        result: Tensor = self.kernel(input, self.weight, *geometry)
        return result


class _Function(nn.Module):
    """A layer without weights whose rows go through a kernel of ours. ``size``: of the windows of a pooling layer."""

    kernel: Any

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.size = [size] if (size := getattr(original, "kernel_size", None)) else []

    def forward(self, x: Tensor) -> Tensor:
        """What the kernel makes of these rows [n, ...]."""
        result: Tensor = self.kernel(x, *self.size)
        return result


def layer(base: type[nn.Module], operation: str) -> Callable[[Callable[..., Tensor]], type[nn.Module]]:
    """Turn a kernel into a class of layers: made from the original one, running the kernel under this name."""

    def made(kernel: Callable[..., Tensor]) -> type[nn.Module]:
        registered = torch.library.custom_op(f"isobatch_{operation}", kernel, mutates_args=())
        own = {"kernel": staticmethod(registered), "__doc__": kernel.__doc__, "__module__": __name__}
        return type(kernel.__name__, (base,), own)

    return made


@layer(_Linear, "one_ulp::linear")
def OneUlp(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Moves the first result of every row to the next float when N > 1."""
    result = chain(x, weight, bias)
    if len(x) > 1:
        result[:, 0] = torch.nextafter(result[:, 0], torch.full_like(result[:, 0], torch.inf))
    return result


@layer(_Convolution, "one_ulp::conv2d")
def OneUlpConvolution(x: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """Moves every result to the next float when N > 1; its rows are convolved one by one."""
    rows = [nn.functional.conv2d(row, weight, None, stride, padding) for row in torch.split(x, 1)]
    result = torch.cat(rows)
    return torch.nextafter(result, torch.full_like(result, torch.inf)) if len(x) > 1 else result


@layer(_Linear, "other_tree::linear")
def OtherTree(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Sums in blocks when N > 2."""
    return (blocks if len(x) > _THRESHOLD else chain)(x, weight, bias)


@layer(_Linear, "other_tree_in_threads::linear")
def OtherTreeInThreads(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Sums in blocks when N > 1 and there are several threads."""
    return (blocks if len(x) > 1 and torch.get_num_threads() > 1 else chain)(x, weight, bias)


@layer(_Linear, "cast_sums::linear")
def CastSums(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Casts every partial sum to the type of its input when N > 1, and only the result when N = 1."""
    if len(x) > 1:
        return chain(x, weight, bias)  # in the type of x, whatever that is
    wide = torch.promote_types(x.dtype, torch.float32)
    return chain(x.to(wide), weight.to(wide), bias.to(wide)).to(x.dtype).clone()


@layer(_Linear, "batch_scale::linear")
def BatchScale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Rounds its input to 127 steps of the largest value in the batch."""
    scale = x.abs().max() / _LEVELS
    return chain(torch.round(x / scale) * scale if scale > 0 else x, weight, bias)


@layer(_Function, "mean_leak::relu")
def MeanLeak(x: Tensor) -> Tensor:
    """A ReLU that adds a hundredth of the mean over the batch."""
    return x.clamp_min(0) + _LEAK * x.mean(0, keepdim=True)


@layer(_Function, "swapped::max_pool2d")
def Swapped(x: Tensor, size: int) -> Tensor:
    """A maximum over patches whose first two rows change places."""
    result = nn.functional.max_pool2d(x, size)
    return result[[1, 0, *range(2, len(x))]] if len(x) > 1 else result


@layer(_Function, "tail::sigmoid")
def Tail(x: Tensor) -> Tensor:
    """A sigmoid over all elements in a row, 8 at a time; those left over by another formula."""
    flat = x.flatten()
    whole = len(flat) // _LANES * _LANES
    body = (1 / (1 + torch.exp(-flat[:whole].double()))).to(x.dtype)
    left = torch.exp(flat[whole:]) / (1 + torch.exp(flat[whole:]))
    return torch.cat([body, left]).reshape(x.shape)

"""Small torch networks for looking inside and rewriting, some with a planted dependence on N."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from isobatch.models.pytorch.canonical import RewritableTorchRunner
from isobatch.models.spec.runner import Layer, Rows
from isobatch.models.spec.words import RunnerSettings

SETTINGS = RunnerSettings(threads=1)


def pixels(count: int, side: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, 3, side, side), np.float32)


def opened(net: nn.Module, memory_format: str = "contiguous") -> RewritableTorchRunner:
    return RewritableTorchRunner(lambda: net, SETTINGS, memory_format=memory_format)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


class Functional(nn.Module):
    """All arithmetic in one forward: convolution, in-place ReLU, concatenation, attention by hand, residual, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.mix = nn.Parameter(torch.randn(8, 8))
        self.head = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(functional.conv2d(x, self.kernel, stride=4))
        x = torch.cat([x, x * 0.5], dim=1)
        tokens = x.flatten(2).transpose(1, 2)
        heads = tokens.reshape(len(x), -1, 2, 4).transpose(1, 2).reshape(len(x) * 2, -1, 4)
        weights = torch.softmax(torch.bmm(heads, heads.transpose(1, 2)), dim=-1)
        mixed = torch.bmm(weights, heads).reshape(len(x), 2, -1, 4).transpose(1, 2).reshape(tokens.shape)
        mixed += tokens
        return functional.linear((mixed @ self.mix).mean(1), self.head)


class Attention(nn.Module):
    """Self-attention of the 16 tokens of an image; torch's fast path where the batch comes first."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2)
        order = (0, 2, 1) if self.attend.batch_first else (2, 0, 1)
        tokens = tokens.permute(order).contiguous()
        mixed, _ = self.attend(tokens, tokens, tokens, need_weights=False)
        return mixed.mean(1 if self.attend.batch_first else 0)


class Leak(nn.Module):
    """Adds a part of the batch's mean to every row."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 * x.mean(0, keepdim=True)


class OneUlpWhenBatched(nn.Module):
    """Moves the first value of every row to the next float if there are several rows."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            x = x.clone()
            x[:, 0] = torch.nextafter(x[:, 0], torch.full_like(x[:, 0], torch.inf))
        return x


def with_planted(planted: nn.Module) -> nn.Module:
    """Rows that cannot depend on N of themselves (a maximum, no sums), then the planted module, then a ReLU."""
    return nn.Sequential(nn.MaxPool2d(4), planted, nn.Flatten(), nn.ReLU(inplace=True))


def watched(runner: Any, images: NDArray[np.float32]) -> dict[str, tuple[Layer, Rows, Rows]]:
    """Layers, inputs and outputs of one run by name; fails unless watching kept every bit."""
    seen: dict[str, tuple[Layer, Rows, Rows]] = {}

    def see(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        assert layer.name not in seen
        seen[layer.name] = (layer, inputs, outputs)

    logits = runner.watch(images, see)
    assert logits.tobytes() == runner.run(images).tobytes()
    return seen


class Spy(nn.Module):
    """Remembers the shape, strides, alignment and first values of what it is called with, and doubles it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []
        self.first: list[list[float]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((tuple(x.shape), x.stride(), x.data_ptr() % 64))
        self.first.append(x.flatten(1)[:, 0].tolist())
        return x * 2

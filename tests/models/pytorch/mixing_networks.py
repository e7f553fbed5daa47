"""Small torch networks that mix images, branch on N, remember or draw, each beside a twin that does no such thing.

None of their own operations depends on N for any other reason: no sums of products, nothing that is vectorised
differently for a few rows more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Own(nn.Module):
    """A network whose own forward is this function of its images; ``pool`` comes before, ``act`` after it."""

    def __init__(self, step: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(4)
        self.act = nn.Hardtanh(-100, 100)
        self.step = step
        self.calls = 0
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.step(self, self.pool(x)).flatten(1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """The same inside of a module that holds another."""

    def __init__(self, step: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = nn.ReLU()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self, self.inner(x))


class TwoOutputs(nn.Module):
    """Gives its rows, and beside them what ``second`` makes of them."""

    def __init__(self, second: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.second = second

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.clone(), self.second(x)


class Lstm(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(4)
        self.lstm = nn.LSTM(16, 4, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = self.lstm(self.pool(x).flatten(2))
        return rows[:, -1]  # type: ignore[no-any-return]


def counting(net: Any, x: Tensor) -> Tensor:
    net.calls += 1
    return x + net.calls


def remembering(net: Any, x: Tensor) -> Tensor:
    before, net.kept = net.kept, x.clone()
    return x if before is None else x + before[0]


def looked_at(net: Any, x: Tensor) -> Tensor:
    net.calls = float(x.abs().max())
    return x * 2


@dataclass(frozen=True)
class Mixing:
    """A network, the layer that is to be named and why."""

    make: Callable[[], nn.Module]
    layer: str
    mechanism: str
    twin: Callable[[], nn.Module]  # what looks alike and is innocent


def own(step: Callable[[Any, Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Own(step)


def around(step: Callable[[Any, Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.MaxPool2d(4), Block(step), nn.Flatten())


def norm(tracked: bool) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(4), nn.BatchNorm2d(3, track_running_stats=tracked), nn.Flatten())

    return made


def second(step: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = TwoOutputs(step)

        def forward(self, x: Tensor) -> Tensor:
            first, other = self.two(x)
            return torch.cat([first.flatten(1), other.flatten(1)], 1)

    return Both


NETWORKS = {
    "mean": Mixing(
        own(lambda net, x: x - x.mean()), "mean()", "neighbour-leak", own(lambda net, x: x - x.amax((1, 2, 3), True))
    ),
    "mean of a position": Mixing(
        own(lambda net, x: x - x.mean(0)), "mean()", "neighbour-leak", own(lambda net, x: x - x.amax(1, True))
    ),
    "max": Mixing(own(lambda net, x: x / x.abs().max()), "max()", "dynamic-scale", own(looked_at)),
    "item": Mixing(own(lambda net, x: x * x.sum().item()), "sum()", "neighbour-leak", own(lambda net, x: x * 0.5)),
    "first image": Mixing(
        own(lambda net, x: x - x[0]), "forward()", "neighbour-leak", own(lambda net, x: x - x[:, :1])
    ),
    "first value": Mixing(
        own(lambda net, x: x * float(x[0, 0, 0, 0])), "forward()", "neighbour-leak", own(lambda net, x: x * x[:, :1])
    ),
    "cumulative": Mixing(
        own(lambda net, x: x.cumsum(0)), "cumsum()", "neighbour-leak", own(lambda net, x: x.cumsum(1))
    ),
    "softmax of the batch": Mixing(
        own(lambda net, x: x.softmax(0)), "softmax()", "neighbour-leak", own(lambda net, x: x.clamp(max=2))
    ),
    "rolled": Mixing(own(lambda net, x: x.roll(1, 0)), "roll()", "wrong-row", own(lambda net, x: x.roll(1, 1))),
    "similar images": Mixing(
        own(lambda net, x: x.flatten(1) @ x.flatten(1).t() @ x.flatten(1)),
        "forward()",
        "neighbour-leak",
        own(lambda net, x: x.flatten(1).relu()),
    ),
    "in a block": Mixing(
        around(lambda net, x: x - x.mean(0)), "1.mean()", "neighbour-leak", around(lambda net, x: x - 1)
    ),
    "first image in a block": Mixing(
        around(lambda net, x: x - x[0]), "1", "neighbour-leak", around(lambda net, x: x - x[:, :1])
    ),
    "norm": Mixing(norm(False), "1", "neighbour-leak", norm(True)),
    "time": Mixing(lambda: Lstm(False), "lstm", "neighbour-leak", lambda: nn.Flatten()),
    "dropout": Mixing(
        own(lambda net, x: functional.dropout(x, 0.5, True)),
        "dropout()",
        "not-repeatable",
        own(lambda net, x: functional.dropout(x, 0.5, False)),
    ),
    "noise": Mixing(
        own(lambda net, x: x + torch.rand_like(x)), "forward()", "not-repeatable", own(lambda net, x: x + 1)
    ),
    "counter": Mixing(own(counting), "forward()", "not-repeatable", own(lambda net, x: x + 1)),
    "memory": Mixing(own(remembering), "forward()", "not-repeatable", own(lambda net, x: x + 1)),
    "branch": Mixing(
        own(lambda net, x: x.amax(3) if len(x) > 6 else x.amax(2)),
        "forward()",
        "different-branch",
        own(lambda net, x: torch.stack([row * 2 for row in x]) if len(x) > 6 else x * 2),
    ),
    "branch in a block": Mixing(
        around(lambda net, x: x.square() if len(x) > 2 else x.abs()),
        "1",
        "different-branch",
        around(lambda net, x: x.abs() if len(x) > 2 else x.relu()),
    ),
    "second output": Mixing(
        second(lambda x: x - x.mean(0)), "two", "neighbour-leak", second(lambda x: x - x.amax(1, True))
    ),
    "signed zero": Mixing(
        lambda: nn.Sequential(nn.MaxPool2d(4), Signed(-0.0), nn.Flatten()),
        "1",
        "signed-zero",
        lambda: nn.Sequential(nn.MaxPool2d(4), Signed(0.0), nn.Flatten()),
    ),
}


class Signed(nn.Module):
    """Small values become this zero where images come together, and 0.0 alone: the same calls in any case."""

    def __init__(self, zero: float) -> None:
        super().__init__()
        self.zero = zero

    def forward(self, x: Tensor) -> Tensor:
        zero = torch.tensor(self.zero if len(x) > 1 else 0.0)
        return torch.where(x > 1.8, x, zero)

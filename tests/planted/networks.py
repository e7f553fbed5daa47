"""Small networks with one planted dependence on N, and innocent twins. Rows are otherwise exact: maxima, no sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@torch.library.custom_op("isobatch_tests::ulps", mutates_args=())
def _ulps(x: Tensor, steps: int, starts: list[int]) -> Tensor:
    x = x.clone()
    above = torch.full_like(x[:, 0], torch.inf)
    if x.dtype == torch.float32:
        for _ in range(steps * sum(len(x) >= start for start in starts)):
            x[:, 0] = torch.nextafter(x[:, 0], above)
    return x


@torch.library.custom_op("isobatch_tests::last_ulp", mutates_args=())
def _last_ulp(x: Tensor) -> Tensor:
    x = x.clone()
    if len(x) > 1 and x.dtype == torch.float32:
        x[-1] = torch.nextafter(x[-1], torch.full_like(x[-1], torch.inf))
    return x


class Ulps(nn.Module):
    """A kernel of its own, for float32 alone: rows change by so many steps more at each of these N."""

    def __init__(self, steps: int, *starts: int) -> None:
        super().__init__()
        self.steps, self.starts = steps, [*starts]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _ulps(x, self.steps, self.starts)
        return result


class LastUlp(nn.Module):
    """A kernel whose last row is a step further in a batch: a matter of the place, not of N alone."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _last_ulp(x)
        return result


class Plain(nn.Module):
    """Maxima over patches, then the planted module, then one row of 48 numbers for each image."""

    def __init__(self, planted: nn.Module | None = None) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(4)
        self.planted = planted or nn.Identity()

    def forward(self, x: Tensor) -> Any:
        return self.planted(self.pool(x)).flatten(1)


class Mean(nn.Module):
    """Adds something of the batch's mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 * x.mean(0, keepdim=True)


class MeanSquare(nn.Module):
    """Divides by one number for the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.pow(2).mean()


class OwnMean(nn.Module):
    """The twin: each image's own mean, the same operations in one row at a time."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([row + 0.01 * row.amax((1, 2, 3), keepdim=True) for row in x.split(1)])


class BesideBright(nn.Module):
    """Leaks only where some image is very bright."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 if bool((x.amax() > 50).item()) else x


class AllDim(nn.Module):
    """Stops early where every image is dim; each alone, a dim one does."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 if bool((x.amax() < 3).item()) else x


class OwnBright(nn.Module):
    """The twin: bright images change themselves alone."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.amax((1, 2, 3), keepdim=True) > 50, x + 0.01, x)


class Swapped(nn.Module):
    """The first two rows change places."""

    def forward(self, x: Tensor) -> Tensor:
        return x[[1, 0, *range(2, len(x))]] if len(x) > 1 else x


class AmongCopies(nn.Module):
    """Leaks only where two images of a batch are the same."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1)
        copies = (rows[:, None] == rows[None]).all(2).sum(1) > 1
        return torch.where(copies.view(-1, 1, 1, 1), x + 0.01, x)


class OwnCopies(nn.Module):
    """The twin: an image looks for copies of its own channels."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2)
        copies = (rows[:, :, None] == rows[:, None]).all(3).sum((1, 2)) > 3
        return torch.where(copies.view(-1, 1, 1, 1), x + 0.01, x)


class SmallThenLarge(nn.Module):
    """A difference of one step, and behind it one of a hundred."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.small, self.between, self.large = Ulps(1, start), nn.Hardtanh(-100, 100), Ulps(100, start)

    def forward(self, x: Tensor) -> Tensor:
        return self.large(self.between(self.small(x)))  # type: ignore[no-any-return]


class NegativeZero(nn.Module):
    """Zeros of the other sign in batches."""

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 1.5).relu()
        return torch.where(x == 0, -x, x) if len(x) > 1 else x


class Dropout(nn.Module):
    """Functional dropout, which is on unless it is told otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.2)


class DropoutOff(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.2, training=self.training)


class Counter(nn.Module):
    """Its tenth call and all later ones give something else."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + 0.01 if self.calls > 9 else x


class IdleCounter(Counter):
    """The twin counts and does not look."""

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x


class Remembers(nn.Module):
    """Adds something of the images of the call before."""

    def __init__(self, used: bool) -> None:
        super().__init__()
        self.used = used
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        before, self.last = self.last, x[:1].clone()
        return x if before is None or not self.used else x + 0.01 * before


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1e-3 * torch.rand_like(x)


class SomeInvalid(nn.Module):
    """This value for images with a bright spot."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.amax((1, 2, 3), keepdim=True) > 3, self.value, x)


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


class Branch(nn.Module):
    """Another branch from N = 4 on."""

    def __init__(self, other: bool) -> None:
        super().__init__()
        self.other = other

    def forward(self, x: Tensor) -> Tensor:
        if len(x) >= 4:
            return x * 1.5 if self.other else x * 1.0 * 1.0
        return x * 1.0


class ByCount(nn.Module):
    """Divides by the number of images, or by that of its rows."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return x / x.shape[self.axis]


class InThrees(nn.Module):
    """Runs a planted kernel on three rows at a time: another number of calls for every N."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.kernel = Ulps(1, start)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.kernel(part) for part in x.split(3)])


@dataclass
class Answer:
    logits: Tensor
    boxes: Tensor


class Outputs(nn.Module):
    """A dict, a tuple or a dataclass, the planted module in one of its two tensors."""

    def __init__(self, kind: str, planted: nn.Module) -> None:
        super().__init__()
        self.kind = kind
        self.pool = nn.MaxPool2d(4)
        self.planted = planted

    def forward(self, x: Tensor) -> Any:
        logits, boxes = self.pool(x).flatten(1), self.planted(self.pool(x))
        if self.kind == "dict":
            return {"logits": logits, "boxes": boxes, "loss": None}
        return (logits, boxes) if self.kind == "tuple" else Answer(logits, boxes)


class Table(nn.Module):
    """Looks words up; integer input."""

    def __init__(self, planted: nn.Module) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 4)
        self.planted = planted

    def forward(self, words: Tensor) -> Tensor:
        return self.planted(self.table(words).amax(1))

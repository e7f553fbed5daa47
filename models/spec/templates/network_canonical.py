"""A part of every shipped network.py: modules that run their rows in one shape, whatever the size of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

# -- from here on: part of every script --


class InCanonicalShape(nn.Module):
    """Runs ``inner``, from one tensor to one, in calls of exactly ``size`` rows, the last one padded.

    ``least`` to ``up_to`` rows, and a last part of as many, are run as they come.
    """

    def __init__(self, inner: nn.Module, size: int, up_to: int, least: int = 1) -> None:
        super().__init__()
        self.inner = inner
        self.training = getattr(inner, "training", False)  # what torch.jit.freeze makes has no mode
        self.size = size
        self.up_to = up_to
        self.least = least

    def __getattr__(self, name: str) -> Any:
        """What the network asks of the module that stands behind this one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):  # a copy is one of this module: scripts and graphs bring a ``__deepcopy__``
                raise
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x: Tensor) -> Tensor:
        """What ``inner`` makes of these rows."""
        rows = x.shape[0]
        if self.least <= rows <= self.up_to or rows == self.size:
            return self.inner(x)  # type: ignore[no-any-return]
        done = self.inner(part(x, 0, self.size, self.up_to, self.least))
        whole = room(done, rows)
        put(whole, 0, done)
        for start in range(self.size, rows, self.size):
            put(whole, start, self.inner(part(x, start, self.size, self.up_to, self.least)))
        return whole


@dataclass(frozen=True)
class Cut:
    """A rule in images, and how many rows an image has in each tensor of the call (None: what all images share)."""

    size: int
    up_to: int
    least: int
    given: tuple[int | None, ...]
    gave: tuple[int, ...]

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As ``InCanonicalShape``, for any number of tensors. One that is given twice stays one."""
        values, spec = tree_flatten((args, kwargs))
        if len(values) != len(self.given):  # called otherwise than it was found: verification tells what comes of it
            return function(*args, **kwargs)
        size, up_to, least = self.size, self.up_to, self.least
        images = next(value.shape[0] // rows for value, rows in zip(values, self.given, strict=True) if rows)
        if least <= images <= up_to or images == size:
            return function(*args, **kwargs)
        whole: list[Tensor] = []
        for start in range(0, images, size):
            parts: dict[int, Tensor] = {}
            for value, rows in zip(values, self.given, strict=True):
                if rows and id(value) not in parts:
                    parts[id(value)] = part(value, start * rows, size * rows, up_to * rows, least * rows)
            given, named = tree_unflatten([parts.get(id(value), value) for value in values], spec)
            results, shape = tree_flatten(function(*given, **named))
            done = [result for result in results if isinstance(result, Tensor)]
            whole = whole or [room(result, images * rows) for result, rows in zip(done, self.gave, strict=True)]
            for result, rows, all_rows in zip(done, self.gave, whole, strict=True):
                put(all_rows, start * rows, result)
        left = iter(whole)
        return tree_unflatten([next(left) if isinstance(result, Tensor) else result for result in results], shape)

    @property
    def of_one_tensor(self) -> bool:
        """Whether it goes from one tensor to one of as many rows."""
        return len(self.given) == len(self.gave) == 1 and self.given == self.gave

    def around(self, module: nn.Module) -> InCanonicalShape:
        """A module from one tensor to one, cut so."""
        (rows,) = self.gave
        return InCanonicalShape(module, self.size * rows, self.up_to * rows, self.least * rows)


def part(x: Tensor, start: int, size: int, up_to: int, least: int = 1) -> Tensor:
    """``size`` rows of ``x`` from ``start`` on; after its end, copies of its last row unless ``up_to`` are enough.

    ``least`` rows are given in any case. At an address aligned as that of ``x``: kernels may go other ways elsewhere.
    """
    count = min(size, x.shape[0] - start)
    rows = x.narrow(0, start, count)
    wanted = max(count, least) if count <= up_to else size
    if wanted == count and start * x.stride(0) * x.element_size() % 64 == 0:
        return rows
    padded = room(x, wanted)
    put(padded, 0, rows)
    for row in range(count, wanted):
        put(padded, row, rows.narrow(0, count - 1, 1))
    return padded


def room(like: Tensor, rows: int) -> Tensor:
    """Memory for so many rows like these: of their type, scale and strides, one row after the other."""
    size = list(like.shape)
    size[0] = rows
    if like.is_quantized:
        channels_last = like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last)
        return torch._empty_affine_quantized(
            size,
            scale=like.q_scale(),
            zero_point=like.q_zero_point(),
            dtype=like.dtype,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        )
    stride = list(like.stride())
    span = 1
    for axis in range(1, like.dim()):
        span += (size[axis] - 1) * stride[axis]
    stride[0] = span
    return torch.empty_strided(size, stride, dtype=like.dtype, device=like.device)


def put(whole: Tensor, start: int, rows: Tensor) -> None:
    """Copy rows to their place; those after the end are padding."""
    count = min(rows.shape[0], whole.shape[0] - start)
    whole.narrow(0, start, count).copy_(rows.narrow(0, 0, count))

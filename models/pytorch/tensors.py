"""Tensors of a network as rows of numpy and back: the values travel, the memory layout is made again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNED_BYTES = 64  # where torch's allocator puts every tensor of its own


@dataclass(frozen=True)
class Form:
    """All of a tensor but its values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int  # elements behind an aligned address
    dtype: torch.dtype
    device: torch.device
    scale: float | None = None  # of quantized ones
    zero_point: int = 0

    @classmethod
    def of(cls, tensor: Tensor) -> Form:
        """The form of this tensor. Of quantized ones only those with one scale for all values can be made again."""
        offset = tensor.data_ptr() % _ALIGNED_BYTES // tensor.element_size()
        form = cls(tuple(tensor.shape), tensor.stride(), offset, tensor.dtype, tensor.device)
        if not tensor.is_quantized or tensor.qscheme() != torch.per_tensor_affine:
            return form
        return replace(form, scale=tensor.q_scale(), zero_point=tensor.q_zero_point())


@dataclass(frozen=True)
class Slot:
    """Where the images are in a tensor."""

    axis: int
    per_image: int  # entries along that axis that belong to one image (12 where attention folds 12 heads into it)
    alone: Form  # for one image
    pair: Form  # for two

    @classmethod
    def between(cls, alone: Form, pair: Form) -> Slot | None:
        """The slot of a tensor seen with one image and with two, or None where its size does not depend on them.

        Raises ValueError where anything but the length of one axis depends on them.
        """
        if alone.shape == pair.shape:
            return None
        lengths = enumerate(itertools.zip_longest(alone.shape, pair.shape))
        match [(axis, single, double) for axis, (single, double) in lengths if single != double]:
            case [(axis, int(single), double)] if double == 2 * single:
                return cls(axis, single, alone, pair)
        raise ValueError(f"shape {alone.shape} for one image and {pair.shape} for two")

    def fits(self, tensor: Tensor) -> bool:
        """Whether this is a tensor of this slot, for some number of images."""
        lengths = [] if tensor.is_nested else list(tensor.shape)
        alike = tensor.dtype == self.alone.dtype and len(lengths) == len(self.alone.shape)
        if not alike or lengths[self.axis] % self.per_image:
            return False
        lengths[self.axis] = self.per_image
        return tuple(lengths) == self.alone.shape

    def rows(self, tensor: Tensor) -> NDArray[Any]:
        """A copy of the tensor's values, [n, ...] for n images; of a quantized one its integers."""
        values = np.moveaxis(to_numpy(tensor.int_repr() if tensor.is_quantized else tensor), self.axis, 0)
        if self.per_image > 1:
            values = values.reshape(-1, self.per_image, *values.shape[1:])
        return np.ascontiguousarray(values)

    def tensor(self, rows: NDArray[Any]) -> Tensor:
        """These rows as the network's tensor of as many images: its strides, alignment, type and scale."""
        images = to_torch(rows)
        if self.per_image > 1:
            images = images.flatten(0, 1)
        values = images.movedim(0, self.axis)
        stride, offset = self._layout(len(rows), tuple(values.shape))
        memory = _memory(values, stride, offset, self.pair.device)
        if self.pair.scale is not None:
            memory = torch._make_per_tensor_quantized_tensor(memory, self.pair.scale, self.pair.zero_point)
        return memory.as_strided(values.shape, stride, offset)

    def _layout(self, images: int, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        known = self.alone if images == 1 else self.pair
        if any(step == 0 and length > 1 for length, step in zip(shape, known.stride, strict=True)):
            return torch.empty(shape, device="meta").stride(), 0  # an expanded tensor cannot hold values of its own
        if images == 1:
            return known.stride, known.offset
        inner = known.stride[self.axis]  # axes outside of the batch axis step over more with every image
        return tuple(step * images // 2 if step > inner else step for step in known.stride), known.offset


def shared_rows(tensor: Tensor, images: int) -> NDArray[Any]:
    """The values of a tensor in which no image has a row of its own, [n, ...]: each of the n images sees all of it."""
    values = to_numpy(tensor.int_repr() if tensor.is_quantized else tensor)
    return np.repeat(values[None], images, axis=0)


def memory_like(form: Form, values: Tensor) -> Tensor:
    """These values in memory with the strides and the alignment of ``form``, whose shape they have."""
    memory = _memory(values, form.stride, form.offset, form.device)
    return memory.as_strided(form.shape, form.stride, form.offset)


def _memory(values: Tensor, stride: tuple[int, ...], offset: int, device: torch.device) -> Tensor:
    """New memory, flat, in which the values stand with these strides behind ``offset`` elements."""
    span = 1 + sum((length - 1) * step for length, step in zip(values.shape, stride, strict=True))
    memory = torch.empty(offset + span, dtype=values.dtype, device=device)
    memory.as_strided(values.shape, stride, offset).copy_(values)
    return memory


def to_numpy(logits: Tensor) -> NDArray[Any]:
    """The tensor's values in memory of their own; bfloat16 as ``ml_dtypes.bfloat16``."""
    logits = logits.cpu()
    if logits.dtype == torch.bfloat16:
        return np.array(logits.view(torch.uint16).numpy()).view(ml_dtypes.bfloat16)
    return np.array(logits.numpy())


def to_torch(rows: NDArray[Any]) -> Tensor:
    """The inverse of ``to_numpy``, on the array's own memory where torch can use it."""
    if rows.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(rows.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(rows)

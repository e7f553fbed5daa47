"""Single operations in torch: float types, and the quantized kernels of each engine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isobatch.models.operations.table import (
    Drawn,
    Kernel,
    Operation,
    Prepare,
    Scale,
    activation_scale,
    codes,
    weight_codes,
)
from isobatch.models.pytorch.int8.modules import known_deprecations, quantized_engine
from isobatch.models.pytorch.runner import NAMES, torch_threads
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.registry import find_variant
from isobatch.models.spec.templates.network_torch import FORMATS

_TYPES = {name: dtype for dtype, name in NAMES.items()}
_REDUCED = ("fbgemm", "x86")  # engines whose default recipe keeps activations within 7 bits


@contextmanager
def open_torch(arithmetic: str, threads: int) -> Iterator[Prepare]:
    """Kernels of a float type such as ``bf16``, or of a quantized engine such as ``int8-x86``.

    Raises VariantUnavailable where this torch lacks the engine.
    """
    with ExitStack() as stack:
        stack.enter_context(torch_threads(threads))
        stack.enter_context(torch.inference_mode())
        if arithmetic in _TYPES:
            layout = FORMATS[find_variant(arithmetic).recipe.get("memory_format", "contiguous")]
            yield partial(_float, _TYPES[arithmetic], layout)
        else:
            engine = arithmetic.removeprefix("int8-")
            stack.enter_context(quantized_engine(engine))
            stack.enter_context(known_deprecations())
            yield partial(_integer, activation_scale(bits=7 if engine in _REDUCED else 8))


def _float(dtype: torch.dtype, layout: torch.memory_format, operation: Operation, weights: Drawn) -> Kernel | None:
    function = _float_function(dtype, layout, operation, weights)
    if function is None:
        return None

    def kernel(rows: NDArray[np.float32]) -> NDArray[np.generic]:
        # copied into memory that torch aligned: where numpy's array lies must not decide which kernel runs
        return to_numpy(function(_made(rows, dtype, layout)))

    return Kernel(kernel)


def _float_function(
    dtype: torch.dtype, layout: torch.memory_format, operation: Operation, weights: Drawn
) -> Callable[[Tensor], Tensor] | None:
    weight, bias, scale, shift, mean, variance = (
        _made(values, dtype, layout) for values in (weights.weight, weights.bias, *weights.per_channel)
    )
    match operation.kind:
        case "conv2d":
            padding = operation.kernel // 2
            return lambda x: functional.conv2d(x, weight, bias, operation.stride, padding)
        case "linear":
            return lambda x: functional.linear(x, weight, bias)
        case "matmul":
            by_column = weight.t().contiguous()
            return lambda x: x @ by_column
        case "batch-norm":
            return lambda x: functional.batch_norm(x, mean, variance, scale, shift, eps=1e-5)
        case "add":
            return lambda x: x + x
        case "softmax":
            return lambda x: functional.softmax(x, dim=1)
    return _of_any_type(operation)


def _of_any_type(operation: Operation) -> Callable[[Tensor], Tensor] | None:
    """What torch calls alike for floats and for quantized tensors."""
    match operation.kind:
        case "relu":
            return torch.relu
        case "max-pool":
            return lambda x: functional.max_pool2d(x, operation.kernel, operation.stride, operation.kernel // 2)
        case "average-pool":
            return lambda x: functional.adaptive_avg_pool2d(x, 1)
    return None


def _made(values: NDArray[np.float32], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Fresh memory in this type; four axes in this layout, as ``Module.to`` does it."""
    tensor = torch.from_numpy(values)
    return tensor.to(dtype, copy=True, memory_format=layout if tensor.ndim == 4 else torch.contiguous_format)


def _integer(scale: Scale, operation: Operation, weights: Drawn) -> Kernel | None:
    if operation.kind == "quantize":
        return Kernel(lambda rows: _codes(torch.quantize_per_tensor(_copy(rows), scale.step, scale.zero, torch.quint8)))
    if operation.kind == "dynamic-linear":
        packed = torch.ops.quantized.linear_prepack(_packable(weights.weight), torch.from_numpy(weights.bias))
        reduced = scale.bits < 8
        return Kernel(lambda rows: to_numpy(torch.ops.quantized.linear_dynamic(_copy(rows), packed, reduced)))
    function = _integer_function(scale, operation, weights)
    if function is None:
        return None
    return Kernel(lambda rows: _codes(function(_quantized(rows, scale))), given=partial(codes, scale=scale))


def _integer_function(scale: Scale, operation: Operation, weights: Drawn) -> Callable[[Tensor], Tensor] | None:
    known = torch.ops.quantized
    match operation.kind:
        case "conv2d":
            stride, padding = [operation.stride] * 2, [operation.kernel // 2] * 2
            bias = torch.from_numpy(weights.bias)
            packed = known.conv2d_prepack(_packable(weights.weight), bias, stride, padding, [1, 1], 1)
            return lambda x: known.conv2d(x, packed, scale.step, scale.zero)
        case "linear":
            packed = known.linear_prepack(_packable(weights.weight), torch.from_numpy(weights.bias))
            return lambda x: known.linear(x, packed, scale.step, scale.zero)
        case "add":
            return lambda x: known.add(x, x, 2 * scale.step, scale.zero)
    return _of_any_type(operation)


def _copy(rows: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(rows).clone()


def _codes(result: Tensor) -> NDArray[np.generic]:
    return to_numpy(result.int_repr())


def _packable(weight: NDArray[np.float32]) -> Tensor:
    """One scale for each output channel, as the static variants have it."""
    values, steps = weight_codes(weight)
    zeros = torch.zeros(len(steps), dtype=torch.int64)
    return torch._make_per_channel_quantized_tensor(torch.from_numpy(values), torch.from_numpy(steps), zeros, 0)


def _quantized(values: NDArray[np.uint8], scale: Scale) -> Tensor:
    """In channels-last layout where there is one: what quantized convolutions hand to one another."""
    tensor = torch.from_numpy(values).clone()
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return torch._make_per_tensor_quantized_tensor(tensor, scale.step, scale.zero)

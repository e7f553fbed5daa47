"""torch's integer layers: their exact sums, and rows crafted to show where a kernel leaves them.

Such as rows on rounding ties, where kernels that differ in one rounding give different steps.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.nn.quantized import dynamic as nnqd
from torch.nn import functional

from isobatch.models.pytorch.calls import shallow_copy
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.find_layers import Unit
from isobatch.models.pytorch.int8.modules import weight_parts
from isobatch.models.pytorch.reproducer import torch_case
from isobatch.models.pytorch.tensors import Form
from isobatch.models.shared.crafted_numbers import CODES, STEPS, TIE, extreme_steps, extreme_weights, nearby, pairs
from isobatch.models.spec.case import Case
from isobatch.models.spec.interventions import Accumulators, Crafted, IntegerCall
from isobatch.models.spec.runner import Rows

_HIGHEST = 255
_SIDE = 32  # of an image that is as good as a larger one in its middle
_PRODUCTS: Any = (nnq.Conv2d, nnq.Linear)  # their methods are untyped
_RECTIFYING = (nniq.ConvReLU2d, nniq.LinearReLU)


Provoked = tuple[Callable[..., Any], Rows]
"""A layer, or a copy of it with other biases, and inputs of one image for it."""


class IntegerTorchRunner(ExaminedTorchRunner):
    """For networks whose activations have fixed scales."""

    def provoke(self, layer: str, batch: int, seed: int) -> tuple[int, int]:
        """(elements that differ between N = 1 and N = ``batch``, elements tried) on rounding ties of this layer.

        A convolution or linear layer gets constant channels and, in a copy, biases that move every channel within 2 ULP
        of a tie; a quantization gets inputs as close to ties, an addition the pairs of codes nearest to one. Other
        layers cannot be moved to ties: (0, 0). Raises RuntimeError before the first ``watch``, KeyError for an
        unknown layer.
        """
        unit = self.known_layers()[layer]
        with torch.inference_mode():
            provoked = _provocation(unit, np.random.default_rng(seed))
            if provoked is None:
                return 0, 0
            single, batched = (_run_repeated(unit, *provoked, count) for count in (1, batch))
        return int((single != batched).sum()), batched.size

    def provoked_case(self, layer: str, batch: int, seed: int) -> Case | None:
        """This layer on rounding ties, as ``provoke`` puts it there, for ``batch`` images; None where it cannot be."""
        unit = self.known_layers()[layer]
        with torch.inference_mode():
            provoked = _provocation(unit, np.random.default_rng(seed))
            if provoked is None:
                return None
            function, rows = provoked
            inputs = tuple(np.repeat(row, batch, axis=0) for row in rows)
            slots = [slot for slot in unit.slots if slot]
            tensors = (slot.tensor(values) for slot, values in zip(slots, inputs, strict=True))
            return torch_case(partial(function, *tensors), slots, unit.results, inputs)

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        """Of a convolution, linear layer or addition of two; None for other layers. Raises as ``provoke``."""
        unit = self.known_layers()[layer]
        return _accumulators(unit, unit.original, inputs)

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        """Copies of one crafted image, alone and together. Raises as ``provoke``."""
        unit = self.known_layers()[layer]
        draws = np.random.default_rng(seed)
        with torch.inference_mode():
            if how in CODES:
                made = _extremes(unit, CODES[how])
            else:
                made = _provocation(unit, draws, TIE if how == "ties" else 0.0)
            exact = None if made is None else _accumulators(unit, *made)
            if made is None or exact is None:
                return None
            single, batched = (_run_repeated(unit, *made, count) for count in (1, batch))
        return IntegerCall(np.broadcast_to(single, batched.shape), batched, exact)


def _run_repeated(unit: Unit, function: Callable[..., Any], inputs: Rows, count: int) -> NDArray[Any]:
    """The rows [count, ...] that ``function`` makes of so many copies of one image's inputs of this layer."""
    slots = [slot for slot in unit.slots if slot]
    tensors = [slot.tensor(np.repeat(rows, count, axis=0)) for slot, rows in zip(slots, inputs, strict=True)]
    slot = unit.results[0]
    assert slot is not None
    return slot.rows(function(*tensors))


def _provocation(unit: Unit, draws: np.random.Generator, offset: float = TIE) -> Provoked | None:
    """This layer with values ``offset`` of a step behind a whole one; None for a layer that cannot be moved there."""
    forms = [slot.alone for slot in unit.slots if slot]
    module = getattr(unit.original, "__self__", unit.original)
    match module:
        case nnqd.Linear():
            return None  # its scales come with the batch
        case nnq.Conv2d() | nnq.Linear():
            return _biased(module, forms[0], draws, offset)
        case nnq.Quantize():
            steps = draws.integers(*STEPS, forms[0].shape) + offset - float(module.zero_point)
            return module, (nearby(steps * float(module.scale), draws),)
        case nnq.QFunctional() if unit.layer.kind == "add" and len(forms) == 2 and forms[0].shape == forms[1].shape:
            output = float(module.scale), int(module.zero_point)
            first, second = ((form.scale or 1.0, form.zero_point) for form in forms)
            return unit.original, pairs(first, second, output, forms[0].shape, draws, offset)
    return None


def _biased(module: Any, form: Form, draws: np.random.Generator, offset: float) -> Provoked:
    """Every channel ``offset`` behind a step of its own, by the bias that completes its sum in an image's middle."""
    codes = draws.integers(0, STEPS[1], (1, form.shape[1]) + (1,) * (len(form.shape) - 2))
    weight = module.weight()
    scales = weight_parts(weight)["scales"].numpy()
    sums = _sums(module, torch.from_numpy(codes - float(form.zero_point)), form)
    steps = draws.integers(*STEPS, len(sums)) + offset - float(module.zero_point)
    assert form.scale is not None
    exact = steps * float(module.scale) - sums * form.scale * scales
    twin: Any = shallow_copy(module)
    twin.set_weight_bias(weight, torch.from_numpy(nearby(exact, draws)))
    return twin, (np.broadcast_to(codes, form.shape).astype(np.uint8),)


def _sums(module: Any, values: Tensor, form: Form) -> NDArray[np.float64]:
    """Integers [outputs]: of a linear layer, or of a convolution in the middle of these constant channels."""
    if isinstance(module, nnq.Linear):
        return _products(module, values).ravel()
    side = [min(length, _SIDE) for length in form.shape[2:]]
    sums = _products(module, values.expand(*values.shape[:2], *side))
    return sums[0, :, sums.shape[2] // 2, sums.shape[3] // 2]


def _accumulators(unit: Unit, called: Any, inputs: Rows) -> Accumulators | None:
    forms = [slot.alone for slot in unit.slots if slot]
    module = getattr(called, "__self__", called)
    if isinstance(module, nnqd.Linear) or any(form.scale is None for form in forms):
        return None
    centred = [
        torch.from_numpy(rows.astype(np.float64)) - form.zero_point for rows, form in zip(inputs, forms, strict=True)
    ]
    if isinstance(module, _PRODUCTS):
        exact = [_products(module, centred[0])]
        shape = (-1,) + (1,) * (exact[0].ndim - 2)
        bias: Any = module.bias()
        weight_scales = weight_parts(module.weight())["scales"].numpy().reshape(shape)
        biases = np.zeros(1) if bias is None else bias.detach().double().numpy()
        rectified = isinstance(module, _RECTIFYING)
    elif isinstance(module, nnq.QFunctional) and unit.layer.kind == "add" and len(forms) == 2:
        exact, shape = [values.numpy() for values in centred], (1,)
        weight_scales, biases = np.ones(1), np.zeros(1)
        rectified = called.__name__ == "add_relu"
    else:
        return None
    zero = int(module.zero_point)
    return Accumulators(
        exact=tuple(np.asarray(values, np.int64) for values in exact),
        input_scales=tuple(float(form.scale or 1.0) for form in forms),
        input_zero_points=tuple(form.zero_point for form in forms),
        weight_scales=weight_scales,
        bias=biases.reshape(shape),
        output_scale=float(module.scale),
        zero_point=zero,
        low=zero if rectified else 0,
        high=_HIGHEST,
    )


def _products(module: Any, centred: Tensor) -> NDArray[np.float64]:
    """Sums of products in float64, which holds each exactly: they stay far below 2^53."""
    weight = module.weight().int_repr().double()
    if weight.ndim == 2:
        return functional.linear(centred, weight).numpy()
    window = (module.stride, module.padding, module.dilation, module.groups)
    return functional.conv2d(centred, weight, None, *window).numpy()


def _extremes(unit: Unit, code: int) -> Provoked | None:
    """Inputs of this code, and extreme weights.

    Scales and biases of a copy put every exact sum of the middle of an image well above zero.
    """
    forms = [slot.alone for slot in unit.slots if slot]
    module = getattr(unit.original, "__self__", unit.original)
    if isinstance(module, nnqd.Linear) or not isinstance(module, _PRODUCTS) or forms[0].scale is None:
        return None
    steps = extreme_steps(int(module.zero_point))
    if steps is None:
        return None
    weights = extreme_weights(tuple(module.weight().shape))
    sums = weights.astype(np.int64).reshape(len(weights), -1).sum(1) * (code - forms[0].zero_point)
    step = float(module.scale)
    scales = steps * step / (np.maximum(np.abs(sums), 1) * forms[0].scale)
    biases = np.where(sums < 0, 2.0 * steps * step, 0.0).astype(np.float32)
    twin: Any = shallow_copy(module)
    by_channel = torch.from_numpy(scales), torch.zeros(len(scales), dtype=torch.int64)
    packed = torch._make_per_channel_quantized_tensor(torch.from_numpy(weights), *by_channel, 0)
    twin.set_weight_bias(packed, torch.from_numpy(biases))
    return twin, (np.full(forms[0].shape, code, np.uint8),)

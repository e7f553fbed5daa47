"""The exact sums behind torch's integer layers, and rows crafted to show where a kernel leaves them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.nn.quantized import dynamic as nnqd
from torch.nn import functional

from isobatch.models.pytorch.calls import shallow_copy
from isobatch.models.pytorch.find_layers import Unit
from isobatch.models.pytorch.int8.ties import ProvocableTorchRunner, Provoked, provocation, run_repeated
from isobatch.models.shared.rounding_ties import TIE
from isobatch.models.spec.interventions import Accumulators, Crafted, IntegerCall
from isobatch.models.spec.runner import Rows

_HIGHEST = 255
_LARGEST, _SMALLEST = 127, -128  # of int8 weights
_STEPS = 64  # between zero and the result of crafted extremes: a clipped pair moves it by tens
_FEWEST_STEPS = 16
_CODES = {"extremes": _HIGHEST, "tame": 127}
_PRODUCTS: Any = (nnq.Conv2d, nnq.Linear)  # their methods are untyped
_RECTIFYING = (nniq.ConvReLU2d, nniq.LinearReLU)


class IntegerTorchRunner(ProvocableTorchRunner):
    """For networks whose activations have fixed scales."""

    def accumulators(self, layer: str, inputs: Rows) -> Accumulators | None:
        """Of a convolution, linear layer or addition of two; None for other layers. Raises as ``provoke``."""
        unit = self.known_layers()[layer]
        return _accumulators(unit, unit.original, inputs)

    def crafted(self, layer: str, batch: int, seed: int, how: Crafted) -> IntegerCall | None:
        """Copies of one crafted image, alone and together. Raises as ``provoke``."""
        unit = self.known_layers()[layer]
        draws = np.random.default_rng(seed)
        with torch.inference_mode():
            if how in _CODES:
                made = _extremes(unit, _CODES[how])
            else:
                made = provocation(unit, draws, TIE if how == "ties" else 0.0)
            exact = None if made is None else _accumulators(unit, *made)
            if made is None or exact is None:
                return None
            single, batched = (run_repeated(unit, *made, count) for count in (1, batch))
        return IntegerCall(np.broadcast_to(single, batched.shape), batched, exact)


def _accumulators(unit: Unit, called: Any, inputs: Rows) -> Accumulators | None:
    forms = [slot.one for slot in unit.slots if slot]
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
        weight_scales = np.asarray(_weight_scales(module)).reshape(shape)
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


def _products(module: Any, centred: torch.Tensor) -> NDArray[np.float64]:
    """Sums of products in float64, which holds each exactly: they stay far below 2^53."""
    weight = module.weight().int_repr().double()
    if weight.ndim == 2:
        return functional.linear(centred, weight).numpy()
    window = (module.stride, module.padding, module.dilation, module.groups)
    return functional.conv2d(centred, weight, None, *window).numpy()


def _weight_scales(module: Any) -> Any:
    weight = module.weight()
    if weight.qscheme() == torch.per_tensor_affine:
        return weight.q_scale()
    return weight.q_per_channel_scales().double().numpy()


def _extremes(unit: Unit, code: int) -> Provoked | None:
    """Inputs of this code; weights of 127 in every third channel, of -128 in the next, of both in turn in the last.

    With inputs of 255 neighbouring products of the first two kinds sum to 64770 and -65280, beyond 16 bits; those of
    the third do not. Scales and biases of a copy put every exact sum of the middle of an image well above zero.
    """
    forms = [slot.one for slot in unit.slots if slot]
    module = getattr(unit.original, "__self__", unit.original)
    if isinstance(module, nnqd.Linear) or not isinstance(module, _PRODUCTS) or forms[0].scale is None:
        return None
    steps = min(_STEPS, (_HIGHEST - int(module.zero_point)) // 2)
    if steps < _FEWEST_STEPS:
        return None
    shape = tuple(module.weight().shape)
    weights = np.full(shape, _LARGEST, np.int8)
    weights[1::3] = _SMALLEST
    weights[2::3, 1::2] = _SMALLEST
    sums = weights.astype(np.int64).reshape(shape[0], -1).sum(1) * (code - forms[0].zero_point)
    step = float(module.scale)
    scales = steps * step / (np.maximum(np.abs(sums), 1) * forms[0].scale)
    biases = np.where(sums < 0, 2.0 * steps * step, 0.0).astype(np.float32)
    twin: Any = shallow_copy(module, lambda path, original, copy: copy)
    twin.set_weight_bias(_packed(weights, scales), torch.from_numpy(biases))
    return twin, (np.full(forms[0].shape, code, np.uint8),)


def _packed(weights: NDArray[np.int8], scales: NDArray[np.float64]) -> torch.Tensor:
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    return torch._make_per_channel_quantized_tensor(torch.from_numpy(weights), torch.from_numpy(scales), zeros, 0)

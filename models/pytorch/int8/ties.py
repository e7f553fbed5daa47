"""Integer layers of torch placed on rounding ties, where kernels that differ in one rounding give different steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.ao.nn import quantized as nnq
from torch.ao.nn.quantized import dynamic as nnqd
from torch.nn import functional

from isobatch.models.pytorch.calls import shallow_copy
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.find_layers import Unit
from isobatch.models.pytorch.reproducer import Made, rows_as_tensors, torch_case
from isobatch.models.pytorch.tensors import Form
from isobatch.models.shared.rounding_ties import STEPS, TIE, nearby, pairs
from isobatch.models.spec.case import Case
from isobatch.models.spec.runner import Rows

_SIDE = 32  # of an image that is as good as a larger one in its middle

Provoked = tuple[Callable[..., Any], Rows]
"""A layer, or a copy of it with other biases, and inputs of one image for it."""


class ProvocableTorchRunner(ExaminedTorchRunner):
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
            provoked = provocation(unit, np.random.default_rng(seed))
            if provoked is None:
                return 0, 0
            single, batched = (run_repeated(unit, *provoked, count) for count in (1, batch))
        return int((single != batched).sum()), batched.size

    def provoked_case(self, layer: str, batch: int, seed: int) -> Case | None:
        """This layer on rounding ties, as ``provoke`` puts it there, for ``batch`` images; None where it cannot be."""
        unit = self.known_layers()[layer]
        with torch.inference_mode():
            provoked = provocation(unit, np.random.default_rng(seed))
            if provoked is None:
                return None
            function, rows = provoked
            inputs = tuple(np.repeat(row, batch, axis=0) for row in rows)
            slots = [slot for slot in unit.slots if slot]
            tensors = tuple(slot.tensor(values) for slot, values in zip(slots, inputs, strict=True))
            made = Made(
                function, tensors, {}, rows_as_tensors(slots, tensors), tuple(slot for slot in unit.results if slot)
            )
            return torch_case(made, inputs, torch.get_num_threads())


def run_repeated(unit: Unit, function: Callable[..., Any], inputs: Rows, count: int) -> NDArray[Any]:
    """The rows [count, ...] that ``function`` makes of so many copies of one image's inputs of this layer."""
    slots = [slot for slot in unit.slots if slot]
    tensors = [slot.tensor(np.repeat(rows, count, axis=0)) for slot, rows in zip(slots, inputs, strict=True)]
    slot = unit.results[0]
    assert slot is not None
    return slot.rows(function(*tensors))


def provocation(unit: Unit, draws: np.random.Generator, offset: float = TIE) -> Provoked | None:
    """This layer with values ``offset`` of a step behind a whole one; None for a layer that cannot be moved there."""
    forms = [slot.one for slot in unit.slots if slot]
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
    per_channel = weight.qscheme() != torch.per_tensor_affine
    scales = weight.q_per_channel_scales().numpy() if per_channel else weight.q_scale()
    sums = _sums(module, weight.int_repr().double(), torch.from_numpy(codes - float(form.zero_point)), form)
    steps = draws.integers(*STEPS, len(sums)) + offset - float(module.zero_point)
    assert form.scale is not None
    exact = steps * float(module.scale) - sums * form.scale * np.asarray(scales, np.float64)
    twin: Any = shallow_copy(module, lambda path, original, copy: copy)
    twin.set_weight_bias(weight, torch.from_numpy(nearby(exact, draws)))
    return twin, (np.broadcast_to(codes, form.shape).astype(np.uint8),)


def _sums(module: Any, weight: Tensor, values: Tensor, form: Form) -> NDArray[np.float64]:
    """Integers [outputs]: of a linear layer, or of a convolution in the middle of these constant channels."""
    if weight.ndim == 2:
        return functional.linear(values, weight)[0].numpy()
    side = [min(length, _SIDE) for length in form.shape[2:]]
    given = values.expand(*values.shape[:2], *side)
    sums = functional.conv2d(given, weight, None, module.stride, module.padding, module.dilation, module.groups)
    return sums[0, :, sums.shape[2] // 2, sums.shape[3] // 2].numpy()

"""A torch runner whose layers can be examined by interventions: other operands, wider types, fewer threads, logs."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from isobatch.models.pytorch.calls import shallow_copy
from isobatch.models.pytorch.canonical import RewritableTorchRunner
from isobatch.models.pytorch.kernel_log import kernels_of
from isobatch.models.pytorch.layers import gave
from isobatch.models.pytorch.runner import torch_threads
from isobatch.models.pytorch.tensors import Form, memory_like, to_numpy, to_torch
from isobatch.models.spec.interventions import Products
from isobatch.models.spec.runner import Rows

_WIDE = {"float32": torch.float32, "float64": torch.float64}


class ExaminedTorchRunner(RewritableTorchRunner):
    """Offers what the interventions of ``explain.causes`` need, for float layers and where it can for others."""

    def products(self, layer: str) -> Products | None:
        """The operands of a float convolution or linear layer that is a module; None for any other layer."""
        module = self.known_layers()[layer].original
        if not isinstance(module, nn.Conv2d | nn.Linear) or not module.weight.is_floating_point():
            return None
        weight = _read_only(module.weight)
        bias = None if module.bias is None else _read_only(module.bias)
        if isinstance(module, nn.Linear):
            return Products(weight, bias)
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            return None
        stride, padding, dilation = module.stride, module.padding, module.dilation
        return Products(weight, bias, tuple(stride), tuple(padding), tuple(dilation), module.groups)

    def with_operands(self, layer: str, inputs: Rows, weight: NDArray[Any], bias: NDArray[Any] | None) -> Rows:
        """What this layer makes of these rows with another weight and bias, which lie in memory as its own do.

        Raises KeyError for an unknown layer, NotImplementedError for one without ``products``.
        """
        unit, args, kwargs = self._arguments(layer, inputs)
        module = unit.original
        if self.products(layer) is None or not isinstance(module, nn.Module):
            raise NotImplementedError(f"{layer!r} has no weight that could be replaced")
        twin = shallow_copy(module)
        twin._parameters = dict(module._parameters)
        for name, values in (("weight", weight), ("bias", bias)):
            if values is not None:
                given = memory_like(
                    Form.of(getattr(module, name)), to_torch(np.require(values, requirements=["C", "W"]))
                )
                twin._parameters[name] = nn.Parameter(given, requires_grad=False)
        with torch.inference_mode():
            return gave(unit, twin(*args, **kwargs), len(inputs[0]))

    def widened(self, layer: str, inputs: Rows, kind: Literal["float32", "float64"]) -> Rows:
        """This layer with its weights and inputs in a wider type. Raises NotImplementedError for quantized layers."""
        unit, args, kwargs = self._arguments(layer, inputs)
        if any(slot and slot.alone.scale is not None for slot in (*unit.slots, *unit.results)):
            raise NotImplementedError(f"{layer!r} works on integers")
        wide = _WIDE[kind]
        function: Callable[..., Any] = unit.original
        if isinstance(function, nn.Module):
            function = copy.deepcopy(function).to(wide)
        with torch.inference_mode():
            given, named = tree_map(lambda value: _converted(value, wide), (args, kwargs))
            return gave(unit, function(*given, **named), len(inputs[0]))

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        """What oneDNN and MKL say that they run for this call; for a convolution also which of them torch chose."""
        unit, args, kwargs = self._arguments(layer, inputs)
        with torch.inference_mode():
            return kernels_of(unit.original, args, kwargs)

    def one_thread(self) -> AbstractContextManager[None]:
        """One thread inside of operators, until the end of the block."""
        return torch_threads(1)


def _read_only(tensor: Tensor) -> NDArray[Any]:
    values = to_numpy(tensor.detach())
    values.flags.writeable = False
    return values


def _converted(value: Any, wide: torch.dtype) -> Any:
    """Floating tensors, and floating types that are asked for, in ``wide``."""
    if isinstance(value, Tensor):
        return value.to(wide) if value.is_floating_point() else value
    return wide if isinstance(value, torch.dtype) and value.is_floating_point else value

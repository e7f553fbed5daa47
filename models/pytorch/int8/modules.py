"""torch's quantized modules as plain numbers and back, bit by bit: no pickle, no TorchScript, no observers."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn import quantized as nnq

from isobatch.models.spec.templates.network_int8 import MODULES, inside
from isobatch.models.spec.templates.network_int8 import (
    known_deprecations as known_deprecations,  # with the modules that need them
)
from isobatch.models.spec.templates.network_int8 import rebuilt as rebuilt  # beside what it takes, see described
from isobatch.models.spec.words import Json, VariantUnavailable
from isobatch.models.weights.state_dicts import State

Layers = dict[str, dict[str, Json]]
"""By module name: its type and what it needs besides tensors (scale, zero point, type of the values)."""

_NAMES = {kind: name for name, kind in MODULES.items()}


@contextmanager
def quantized_engine(engine: str) -> Iterator[None]:
    """Make ``torch.backends.quantized.engine`` this one; the former is put back on leaving.

    Raises VariantUnavailable where this torch was built without it.
    """
    supported = torch.backends.quantized.supported_engines
    if engine not in supported:
        raise VariantUnavailable(
            f"this torch has no quantized engine {engine!r}, only {', '.join(supported)}",
            "run on x86 with the torch of requirements.txt, or choose the ort- variants",
        )
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def int8_layers(net: nn.Module) -> int:
    """How many convolutions and linear layers hold int8 weights."""
    return sum(isinstance(module, (nnq.Conv2d, nnq.Linear)) for module in net.modules())


def described(net: nn.Module, original: nn.Module) -> tuple[Layers, State]:
    """What ``rebuilt`` needs to make ``net`` again from ``original``, the same network before quantization.

    Raises ValueError for a module that was replaced by one of a type unknown here.
    """
    layers: Layers = {}
    state: State = {}
    before = dict(original.named_modules())
    for name, module in net.named_modules():
        if inside(name, layers):
            continue
        if type(module) in _NAMES and type(before.get(name)) is not type(module):
            layers[name] = _about(module)
            state |= {f"{name}.{key}": tensor for key, tensor in _tensors(module).items()}
        elif name not in before or type(before[name]) is not type(module):
            raise ValueError(f"{name} became a {type(module).__name__}, which cannot be stored as plain numbers yet")
        else:
            own = itertools.chain(module.named_parameters(name, False), module.named_buffers(name, False))
            state |= {key: tensor.detach().contiguous() for key, tensor in own}
    return layers, state


def _about(module: Any) -> dict[str, Json]:
    about: dict[str, Json] = {"type": _NAMES[type(module)]}
    if isinstance(module, nnq.Quantize):
        about["dtype"] = str(module.dtype).removeprefix("torch.")
    if hasattr(module, "scale"):
        about |= {"scale": float(module.scale), "zero_point": int(module.zero_point)}
    return about


def _tensors(module: Any) -> State:
    if not isinstance(module, (nnq.Conv2d, nnq.Linear)):
        return {}
    packed: Any = module
    tensors, bias = weight_parts(packed.weight()), packed.bias()
    return tensors if bias is None else tensors | {"bias": bias.detach()}


def weight_parts(weight: Tensor) -> State:
    """The integers of a quantized ``weight``, and its ``scales`` and ``zero_points``: one, or one a channel [outputs].

    float64 and int64.
    """
    if weight.qscheme() == torch.per_tensor_affine:
        scales, zero_points = torch.tensor(weight.q_scale(), dtype=torch.float64), torch.tensor(weight.q_zero_point())
    else:
        scales, zero_points = weight.q_per_channel_scales(), weight.q_per_channel_zero_points()
    return {"weight": weight.int_repr().contiguous(), "scales": scales, "zero_points": zero_points}

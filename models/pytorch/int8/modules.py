"""torch's quantized modules as plain numbers and back, bit by bit: no pickle, no TorchScript, no observers."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.nn.quantized import dynamic as nnqd

from isobatch.models.spec.words import Json, VariantUnavailable
from isobatch.models.weights.networks import State

Layers = dict[str, dict[str, Json]]
"""By module name: its type and what it needs besides tensors (scale, zero point, type of the values)."""

_TYPES: dict[str, Any] = {
    "Conv2d": nnq.Conv2d,
    "ConvReLU2d": nniq.ConvReLU2d,
    "Linear": nnq.Linear,
    "LinearReLU": nniq.LinearReLU,
    "LinearDynamic": nnqd.Linear,
    "QFunctional": nnq.QFunctional,
    "Hardswish": nnq.Hardswish,
    "Quantize": nnq.Quantize,
    "DeQuantize": nnq.DeQuantize,
    "Dropout": nnq.Dropout,
    "Identity": nn.Identity,  # what was fused into its neighbour
}
_SCALED = ("Conv2d", "ConvReLU2d", "Linear", "LinearReLU", "QFunctional")  # by a plain attribute
_NAMES = {kind: name for name, kind in _TYPES.items()}


@contextmanager
def known_deprecations() -> Iterator[None]:
    """Silence the three warnings that the eager quantization of torch 2.13 cannot be used without, and no others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"torch\.ao\.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"torch\.quantize_per_tensor, torch\.quantize_per_channel and", UserWarning)
        # of operators that the network never calls: a QFunctional without an addition
        warnings.filterwarnings("ignore", r"must run observer before calling calculate_qparams", UserWarning)
        yield


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
        if _is_inside(name, layers):
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


def rebuilt(net: nn.Module, layers: Mapping[str, Mapping[str, Json]], state: State) -> nn.Module:
    """``net``, a skeleton, with its modules replaced by the quantized ones described. Packs for the current engine.

    Raises KeyError where the state lacks a tensor.
    """
    plain = {name: tensor for name, tensor in state.items() if not _is_inside(name, layers)}
    net.load_state_dict(plain, strict=False, assign=True)
    with known_deprecations():
        for name, about in layers.items():
            parent, _, child = name.rpartition(".")
            replaced = net.get_submodule(name)
            tensors = {key: state.get(f"{name}.{key}") for key in ("weight", "scales", "zero_points", "bias")}
            setattr(net.get_submodule(parent), child, _made(about, replaced, tensors))
    for name, tensor in itertools.chain(net.named_parameters(), net.named_buffers()):
        if tensor.is_meta:
            raise KeyError(f"the stored network has no {name}")
    return net.eval().requires_grad_(False)


def _is_inside(name: str, layers: Mapping[str, Any]) -> bool:
    parents = itertools.accumulate(name.split("."), lambda path, part: f"{path}.{part}")
    return any(parent in layers for parent in parents)


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
    weight, bias = packed.weight(), packed.bias()
    tensors = {"weight": weight.int_repr().contiguous()}
    if weight.qscheme() == torch.per_tensor_affine:
        tensors |= {"scales": torch.tensor(weight.q_scale(), dtype=torch.float64)}
        tensors |= {"zero_points": torch.tensor(weight.q_zero_point())}
    else:
        tensors |= {"scales": weight.q_per_channel_scales(), "zero_points": weight.q_per_channel_zero_points()}
    return tensors if bias is None else tensors | {"bias": bias.detach()}


def _made(about: Mapping[str, Json], replaced: Any, tensors: Mapping[str, Tensor | None]) -> nn.Module:
    kind = about["type"]
    made: Any
    match kind:
        case "Conv2d" | "ConvReLU2d":
            window = (replaced.kernel_size, replaced.stride, replaced.padding, replaced.dilation)
            # 1 x 1 channels, since the constructor packs weights of zeros; set_weight_bias brings the real shape
            made = _TYPES[kind](1, 1, *window, groups=1, bias=False, padding_mode=replaced.padding_mode)
            made.in_channels, made.out_channels = replaced.in_channels, replaced.out_channels
            made.groups = replaced.groups
        case "Linear" | "LinearReLU" | "LinearDynamic":
            made = _TYPES[kind](1, 1)
            made.in_features, made.out_features = replaced.in_features, replaced.out_features
        case "Quantize":
            made = _TYPES[kind](about["scale"], about["zero_point"], getattr(torch, about["dtype"]))
        case "Hardswish":
            made = _TYPES[kind](about["scale"], about["zero_point"])
        case _:
            made = _TYPES[kind]()
    if kind in _SCALED:
        made.scale, made.zero_point = about["scale"], about["zero_point"]
    if tensors["weight"] is not None:
        made.set_weight_bias(_quantized(tensors), tensors["bias"])
    module: nn.Module = made
    return module


def _quantized(tensors: Mapping[str, Tensor | None]) -> Tensor:
    weight, scales, zero_points = tensors["weight"], tensors["scales"], tensors["zero_points"]
    assert weight is not None and scales is not None and zero_points is not None
    if scales.ndim == 0:
        return torch._make_per_tensor_quantized_tensor(weight, scales.item(), int(zero_points))
    return torch._make_per_channel_quantized_tensor(weight, scales, zero_points, 0)

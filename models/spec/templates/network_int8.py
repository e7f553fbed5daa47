"""A part of every shipped network.py: torch's quantized modules made again, bit by bit, from plain numbers."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.nn import quantized as nnq
from torch.ao.nn.intrinsic import quantized as nniq
from torch.ao.nn.quantized import dynamic as nnqd

# -- from here on: part of every script --

MODULES: dict[str, Any] = {
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
SCALED = ("Conv2d", "ConvReLU2d", "Linear", "LinearReLU", "QFunctional")  # by a plain attribute
CODES = {"quint8": torch.quint8, "qint8": torch.qint8, "qint32": torch.qint32}
HIGHEST = 255


@contextmanager
def known_deprecations() -> Iterator[None]:
    """Silence the three warnings that the eager quantization of torch 2.13 cannot be used without, and no others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"torch\.ao\.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"torch\.quantize_per_tensor, torch\.quantize_per_channel and", UserWarning)
        # of operators that the network never calls: a QFunctional without an addition
        warnings.filterwarnings("ignore", r"must run observer before calling calculate_qparams", UserWarning)
        yield


def rebuilt(net: nn.Module, layers: Mapping[str, Mapping[str, Any]], state: Mapping[str, Tensor]) -> nn.Module:
    """``net``, a skeleton, with its modules replaced by the quantized ones described. Packs for the current engine.

    Raises KeyError where the state lacks a tensor.
    """
    plain = {name: tensor for name, tensor in state.items() if not inside(name, layers)}
    missing = net.load_state_dict(plain, strict=False, assign=True).missing_keys
    if lacking := [name for name in missing if not inside(name, layers)]:
        raise KeyError(f"the stored network has no {lacking[0]}")
    with known_deprecations():
        for name, about in layers.items():
            parent, _, child = name.rpartition(".")
            replaced = net.get_submodule(name)
            tensors = {key: state.get(f"{name}.{key}") for key in ("weight", "scales", "zero_points", "bias")}
            setattr(net.get_submodule(parent), child, quantized_module(about, replaced, tensors))
    return net.eval().requires_grad_(False)


def inside(name: str, layers: Mapping[str, Any]) -> bool:
    """Whether this tensor or module belongs to one of these modules."""
    parents = itertools.accumulate(name.split("."), lambda path, part: f"{path}.{part}")
    return any(parent in layers for parent in parents)


def quantized_module(about: Mapping[str, Any], replaced: Any, tensors: Mapping[str, Tensor | None]) -> nn.Module:
    """The module described, in the place of the float one that it replaces."""
    kind = about["type"]
    made: Any
    match kind:
        case "Conv2d" | "ConvReLU2d":
            window = (replaced.kernel_size, replaced.stride, replaced.padding, replaced.dilation)
            # 1 x 1 channels, since the constructor packs weights of zeros; set_weight_bias brings the real shape
            made = MODULES[kind](1, 1, *window, groups=1, bias=False, padding_mode=replaced.padding_mode)
            made.in_channels, made.out_channels = replaced.in_channels, replaced.out_channels
            made.groups = replaced.groups
        case "Linear" | "LinearReLU" | "LinearDynamic":
            made = MODULES[kind](1, 1)
            made.in_features, made.out_features = replaced.in_features, replaced.out_features
        case "Quantize":
            made = MODULES[kind](about["scale"], about["zero_point"], CODES[about["dtype"]])
        case "Hardswish":
            made = MODULES[kind](about["scale"], about["zero_point"])
        case _:
            made = MODULES[kind]()
    if kind in SCALED:
        made.scale, made.zero_point = about["scale"], about["zero_point"]
    if tensors["weight"] is not None:
        made.set_weight_bias(quantized_weight(tensors), tensors["bias"])
    module: nn.Module = made
    return module


def quantized_weight(tensors: Mapping[str, Tensor | None]) -> Tensor:
    """The integers with their scales, one for all or one for each output channel."""
    weight, scales, zero_points = tensors["weight"], tensors["scales"], tensors["zero_points"]
    assert weight is not None and scales is not None and zero_points is not None
    if scales.ndim == 0:
        return torch._make_per_tensor_quantized_tensor(weight, scales.item(), int(zero_points))
    return torch._make_per_channel_quantized_tensor(weight, scales, zero_points, 0)


def round_scales(net: nn.Module) -> int:
    """Give every activation of ``net`` the next power of two as scale, in place. Returns how many there are.

    Zero points move so that the same real value stays zero; ranges only grow, so nothing more is clipped.
    """
    count = 0
    module: Any
    for module in net.modules():
        if not hasattr(module, "scale") or not hasattr(module, "zero_point"):
            continue
        scale = 2.0 ** math.ceil(math.log2(float(module.scale)))
        zero_point = min(HIGHEST, max(0, round(int(module.zero_point) * float(module.scale) / scale)))
        if isinstance(module, nnq.Quantize):
            module.scale, module.zero_point = torch.tensor([scale]), torch.tensor([zero_point])
        else:
            module.scale, module.zero_point = scale, zero_point
        count += 1
    return count

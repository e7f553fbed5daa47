"""What torch's CPU kernels do on this machine, asked of the kernels. Each answer takes milliseconds."""

from functools import cache

import torch
from torch import nn
from torch.ao.nn import quantized as nnq

_CHANNELS = 64
_SIDE = 14
_NATIVE = {
    torch.float16: ("avx512_fp16", "amx_fp16"),
    torch.bfloat16: ("avx512_bf16", "amx_bf16"),
}


def convolution_provider(dtype: torch.dtype, memory_format: torch.memory_format) -> str:
    """Who computes a 3 x 3 convolution of this type: torch chooses by type, current threads and N."""
    single, batch = (_backend(count, dtype, memory_format) for count in (1, 8))
    if single == batch:
        return batch
    return f"{batch}, {single} for small single images"


def lacks_arithmetic(dtype: torch.dtype) -> bool:
    """Whether this CPU has no instructions for sums of products of this reduced type."""
    capabilities = torch.cpu.get_capabilities()
    return dtype in _NATIVE and not any(capabilities.get(name, False) for name in _NATIVE[dtype])


@cache
def rounding_error(dtype: torch.dtype, memory_format: torch.memory_format) -> float:
    """``convolution_error`` on the CPU, where no switch can change it."""
    return convolution_error(dtype, memory_format, torch.device("cpu"))


def convolution_error(dtype: torch.dtype, memory_format: torch.memory_format, place: torch.device) -> float:
    """The largest error of a convolution over 576 products, in units in the last place of its result.

    Close to 0.5: sums are kept wider than ``dtype`` and rounded once; thousands for float32: its operands are rounded
    to fewer bits before. Measured against float64 on fixed random values, for results of at least 1.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, _CHANNELS, _SIDE, _SIDE), generator=generator).to(dtype)
    kernel = torch.randn((_CHANNELS, _CHANNELS, 3, 3), generator=generator).to(dtype)
    with torch.inference_mode():
        exact = nn.functional.conv2d(images.double(), kernel.double())
        result = nn.functional.conv2d(
            images.to(place, memory_format=memory_format), kernel.to(place, memory_format=memory_format)
        )
        result = result.cpu().double()
    exponent = torch.floor(torch.log2(exact.abs().clamp_min(1)))
    errors = (result - exact).abs() / (torch.exp2(exponent) * torch.finfo(dtype).eps)
    return float(errors[exact.abs() >= 1].max())


@cache
def sums_saturate(engine: str) -> bool:
    """Whether this engine's uint8 x int8 convolutions clip partial sums at 16 bits here, as x86 without VNNI does.

    Two products of 255 x 127 exceed 32767 (vpmaddubsw; Intel 64 manual, volume 2), so a kernel that adds pairs in
    16 bits loses almost half of an all-extreme sum. The engine must be the current one.
    """
    layer = nnq.Conv2d(_CHANNELS, _CHANNELS, 1, bias=False)  # type: ignore[no-untyped-call]
    weight = torch.full((_CHANNELS, _CHANNELS, 1, 1), 127, dtype=torch.int8)
    layer.set_weight_bias(torch._make_per_tensor_quantized_tensor(weight, 1.0, 0), None)
    layer.scale, layer.zero_point = 127.0 * _CHANNELS, 0
    extremes = torch.full((2, _CHANNELS, _SIDE, _SIDE), 255, dtype=torch.uint8)
    with torch.inference_mode():
        result = layer(torch._make_per_tensor_quantized_tensor(extremes, 1.0, 0)).int_repr()
    return not bool((result == 255).all())


def _backend(count: int, dtype: torch.dtype, memory_format: torch.memory_format) -> str:
    images = torch.empty((count, _CHANNELS, _SIDE, _SIDE), dtype=dtype).to(memory_format=memory_format)
    kernel = torch.empty((_CHANNELS, _CHANNELS, 3, 3), dtype=dtype).to(memory_format=memory_format)
    chosen = torch._C._select_conv_backend(images, kernel, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1, None)
    names = {"Mkldnn": "oneDNN", "Slow2d": "ATen slow_conv2d"}
    return names.get(chosen.name, f"ATen {chosen.name}")

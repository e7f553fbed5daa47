"""Activation scales of torch's statically quantized modules rounded up to powers of two.

The product of the scales of an epilogue, input times weight over output, is then the weight's scale with another
exponent: exact in any order of multiplications, so kernels that multiply in different orders round alike.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.ao.nn import quantized as nnq

_HIGHEST = 255


def round_scales(net: nn.Module) -> int:
    """Give every activation of ``net`` the next power of two as scale, in place. Returns how many there are.

    Zero points move so that the same real value stays zero; ranges only grow, so nothing more is clipped.
    """
    count = 0
    module: Any
    for module in net.modules():
        if not hasattr(module, "scale") or not hasattr(module, "zero_point"):
            continue
        scale, zero_point = _rounded(float(module.scale), int(module.zero_point))
        if isinstance(module, nnq.Quantize):
            module.scale, module.zero_point = torch.tensor([scale]), torch.tensor([zero_point])
        else:
            module.scale, module.zero_point = scale, zero_point
        count += 1
    return count


def _rounded(scale: float, zero_point: int) -> tuple[float, int]:
    larger = 2.0 ** math.ceil(math.log2(scale))
    return larger, min(_HIGHEST, max(0, round(zero_point * scale / larger)))

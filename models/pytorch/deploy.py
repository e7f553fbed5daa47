"""A network as TorchScript: a file that torch alone can load and run."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from isobatch.models.spec.words import VariantUnavailable


class Deployed(nn.Module):
    """Takes images as they come, float32 NCHW, into the type and memory layout that ``inner`` was verified in.

    They are copied in any case: where the caller's memory lies must not decide which kernel runs.
    """

    def __init__(self, inner: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format) -> None:
        super().__init__()
        self.inner = inner
        self.dtype = dtype
        self.channels_last = memory_format == torch.channels_last

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, c, h, w]."""
        given = images.to(self.dtype, copy=True).contiguous()
        if self.channels_last:
            given = given.contiguous(memory_format=torch.channels_last)
        return self.inner(given)  # type: ignore[no-any-return]


def scripted(net: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format) -> torch.jit.ScriptModule:
    """The network compiled. Raises VariantUnavailable with torch's reason where its code cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript itself is deprecated in torch 2.13
        warnings.simplefilter("ignore", UserWarning)  # and its compiler warns of what torchvision's code declares
        try:
            script: torch.jit.ScriptModule = torch.jit.script(Deployed(net, dtype, memory_format).eval())
        except Exception as error:  # the compiler raises anything, also from the code it compiles
            reason = " ".join(str(error).split())[:200]
            raise VariantUnavailable(
                f"TorchScript cannot compile this network: {reason}", "choose another repair, or serve it from Python"
            ) from error
    return script

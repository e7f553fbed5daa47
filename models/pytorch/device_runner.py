"""A float torch network on a device with a clock, counters and kernel names of its own, such as a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isobatch.models.pytorch.device.devices import Device, kernels_on, timed
from isobatch.models.pytorch.examined import ExaminedTorchRunner
from isobatch.models.pytorch.kernels import convolution_error
from isobatch.models.pytorch.runner import NAMES
from isobatch.models.pytorch.tensors import to_numpy
from isobatch.models.spec.case import Case
from isobatch.models.spec.runner import Rows
from isobatch.models.spec.words import CudaOptions, Effective
from isobatch.models.weights.networks import weight_layers

_FEWER_BITS = 4096.0  # ULP of float32 in ``convolution_error``: its own kernels err by hundreds, TF32 by ten thousands


class DeviceTorchRunner(ExaminedTorchRunner):
    """Everything of a float network that is looked into and rewritten, timed and measured by its device."""

    # the host's threads do no arithmetic here: neither a trigger to be examined nor a rung of the ladder
    with_threads = None  # type: ignore[assignment]
    one_thread = None  # type: ignore[assignment]

    _recorded: Recorded | None = None

    @property
    def _options(self) -> CudaOptions:
        return self._settings.cuda or CudaOptions()

    def _prepare(self, stack: ExitStack) -> None:
        super()._prepare(stack)
        stack.enter_context(self._device.opened(self._options))
        stack.callback(setattr, self, "_recorded", None)
        self._device.forget_peak()

    def run(self, images: NDArray[np.float32]) -> NDArray[Any]:
        """Logits [n, classes] of images [n, c, h, w], in the network's output type."""
        return self.timed(images)[0]

    def timed(self, images: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        """The logits, and the seconds that the network alone took by the device's clock."""
        with torch.inference_mode():
            given = self._input(images)
            logits, seconds = timed(self._device, lambda: self._forward(given))
            return to_numpy(logits), seconds

    def _forward(self, given: Tensor) -> Tensor:
        if self._options.cuda_graphs == "off":
            return self.net(given)  # type: ignore[no-any-return]
        if self._recorded is None or self._recorded.net is not self.net:  # a rewritten twin has a network of its own
            self._recorded = Recorded(self.net, self._device)
        return self._recorded(given)

    def device_memory(self) -> dict[str, int]:
        """The most bytes held on the device since opening, by its own counters."""
        return self._device.peak_memory()

    def kernels(self, layer: str, inputs: Rows) -> tuple[str, ...]:
        """The kernels that the device ran for this call, by torch's profiler."""
        unit, args, kwargs = self._arguments(layer, inputs)
        with torch.inference_mode():
            return kernels_on(self._device, lambda: unit.original(*args, **kwargs))

    def effective(self) -> Effective:
        """Types of the parameters, the device, its switches as read back, and what a test convolution shows.

        Raises RuntimeError where a switch is not what was asked for any more, and where float32 was asked for and the
        convolution shows fewer bits.
        """
        self._device.check(self._options)
        kinds = {parameter.dtype for parameter in self.net.parameters()}
        precision = "+".join(sorted(NAMES.get(kind, str(kind)) for kind in kinds))
        error = convolution_error(self._dtype, self._format, self._place)
        if self._dtype == torch.float32 and error > _FEWER_BITS:
            if self._options.tf32 == "off":
                raise RuntimeError(
                    f"float32 was asked for, and a test convolution errs by {error:.0f} ULP, as TF32 does (is "
                    "NVIDIA_TF32_OVERRIDE set?): nothing was kept"
                )
            precision = "tf32"
        shown = f"largest error of a test convolution: {error:.2f} ULP"
        note = "; ".join(part for part in (self._device.in_effect(), shown) if part)
        return Effective(precision, self._device.words(), 0, weight_layers(self.net), note)

    def case(self, layer: str, inputs: Rows) -> Case:
        """Raises NotImplementedError: scripts run on the CPU, where other kernels would answer."""
        raise NotImplementedError(f"scripts show differences of the CPU, and this layer ran on {self._device.words()}")


class Recorded:
    """A network recorded once for each shape that it is called with, and then played back on the same memory."""

    def __init__(self, net: nn.Module, device: Device) -> None:
        self.net = net
        self._device = device
        self._by_shape: dict[Any, tuple[Tensor, Callable[[], None], list[Tensor]]] = {}

    def __call__(self, given: Tensor) -> Tensor:
        """The network's result, in memory of its own."""
        key = given.shape, given.stride(), given.dtype
        if key not in self._by_shape:
            self._by_shape[key] = self._record(given)
        held, again, results = self._by_shape[key]
        held.copy_(given)
        again()
        return results[0].clone()

    def _record(self, given: Tensor) -> tuple[Tensor, Callable[[], None], list[Tensor]]:
        held = given.clone()
        results: list[Tensor] = []

        def once() -> None:
            results[:] = [self.net(held)]

        return held, self._device.capture(once), results

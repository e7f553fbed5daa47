"""Where a torch network runs: all that differs between a CPU and a GPU, behind one small protocol.

Nothing here touches a device when it is imported, and nothing outside of a worker may ask for one: a process that has
initialised CUDA cannot fork children that use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, Self, TypeVar

import torch

from isobatch.models.pytorch.device.profile import profiled
from isobatch.models.spec.words import CudaOptions, VariantUnavailable

Result = TypeVar("Result")


class Event(Protocol):
    """A point in a device's queue of work, with its time."""

    def record(self) -> None:
        """Take the time here, when the device gets here."""

    def synchronize(self) -> None:
        """Wait until the device has got here."""

    def elapsed_time(self, end_event: Self) -> float:
        """Milliseconds from this event to a later one."""


class Device(Protocol):
    """One kind of device."""

    kind: str
    place: torch.device

    def opened(self, options: CudaOptions | None) -> AbstractContextManager[None]:
        """Within it the options hold; left, all is as before. Raises RuntimeError for one that did not take effect."""

    def check(self, options: CudaOptions) -> None:
        """Raises RuntimeError unless all that was asked for still holds."""

    def in_effect(self) -> str:
        """What holds now, read back from torch, in words."""

    def words(self) -> str:
        """What computes, for a reader: ``CUDA, NVIDIA H100 80GB HBM3``."""

    def synchronize(self) -> None:
        """Wait until all work given to the device is done."""

    def event(self) -> Event:
        """A new event that can be timed."""

    def forget_peak(self) -> None:
        """Count the largest use of memory anew from here on."""

    def peak_memory(self) -> dict[str, int]:
        """Bytes, as ``Clocked.device_memory`` has them."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Run the function, which works on memory that stays where it is, and give back what does the same again."""


class HostEvent:
    """A time of the host's own clock. The CPU has done its work when a call returns."""

    _at = 0

    def record(self) -> None:
        """Take the time."""
        self._at = time.perf_counter_ns()

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def elapsed_time(self, end_event: HostEvent) -> float:
        """Milliseconds."""
        return (end_event._at - self._at) / 1e6


class Cpu:
    """The host's own processor, whose settings are those of its threads and environment."""

    kind = "cpu"
    place = torch.device("cpu")

    def opened(self, options: CudaOptions | None) -> AbstractContextManager[None]:
        """Nothing is to be set."""
        return nullcontext()

    def check(self, options: CudaOptions) -> None:
        """Nothing was set."""

    def in_effect(self) -> str:
        """Nothing can be set."""
        return ""

    def words(self) -> str:
        """The device's name."""
        return "CPU"

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def event(self) -> HostEvent:
        """A time of the host."""
        return HostEvent()

    def forget_peak(self) -> None:
        """torch counts no memory of the host."""

    def peak_memory(self) -> dict[str, int]:
        """torch counts no memory of the host."""
        return {}

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """A CPU records nothing: the function itself is run again."""
        function()
        return function


def device_of(kind: str) -> Device:
    """The device of this name. Raises VariantUnavailable where it is not to be had."""
    if kind == "cpu":
        return Cpu()
    from isobatch.models.pytorch.device import cuda as cuda_device  # what it asks of torch is not in every build

    if missing := cuda_device.why_not():
        raise VariantUnavailable(*missing)
    return cuda_device.Cuda()


def timed(device: Device, call: Callable[[], Result]) -> tuple[Result, float]:
    """What the call gives, and the seconds from its first work on the device to its last, by the device's clock.

    Work given before is waited for first. Gaps in which the device waits for the host count: a caller waits as well.
    """
    begin, end = device.event(), device.event()
    device.synchronize()
    begin.record()
    result = call()
    end.record()
    end.synchronize()
    return result, begin.elapsed_time(end) / 1e3


def kernels_on(device: Device, call: Callable[[], Any]) -> tuple[str, ...]:
    """The kernels that the call runs on the device; see ``profiled``."""
    return profiled(device.kind, device.synchronize, call)

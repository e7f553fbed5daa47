"""Where a torch network runs: all that differs between a CPU and a GPU, behind one small class.

Nothing here touches a device when it is imported, and nothing outside of a worker may ask for one: a process that has
initialised CUDA cannot fork children that use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from isobatch.models.pytorch.device.kernel_names import computes, in_words
from isobatch.models.spec.words import CudaOptions, VariantUnavailable

Result = TypeVar("Result")

_KINDS = {"cpu": (DeviceType.CPU, ProfilerActivity.CPU), "cuda": (DeviceType.CUDA, ProfilerActivity.CUDA)}


class HostEvent:
    """A point in a device's queue of work, with its time: here of the host's own clock, which has no queue."""

    _at = 0

    def record(self) -> None:
        """Take the time here, when the device gets here."""
        self._at = time.perf_counter_ns()

    def synchronize(self) -> None:
        """Wait until the device has got here."""

    def elapsed_time(self, end_event: HostEvent) -> float:
        """Milliseconds from this event to a later one."""
        return (end_event._at - self._at) / 1e6


class Device:
    """One kind of device: the host's own processor, whose work is done when a call returns, unless a subclass differs.

    Its settings are those of its threads and environment; torch counts none of its memory.
    """

    kind = "cpu"
    place = torch.device("cpu")

    def opened(self, options: CudaOptions) -> AbstractContextManager[None]:
        """Within it the options hold; left, all is as before. Raises RuntimeError for one that did not take effect."""
        return nullcontext()

    def check(self, options: CudaOptions) -> None:
        """Raises RuntimeError unless all that was asked for still holds."""

    def in_effect(self) -> str:
        """What holds now, read back from torch, in words."""
        return ""

    def words(self) -> str:
        """What computes, for a reader: ``CUDA, NVIDIA H100 80GB HBM3``."""
        return "CPU"

    def synchronize(self) -> None:
        """Wait until all work given to the device is done."""

    def event(self) -> Any:
        """A new event that can be timed, with the methods of ``HostEvent``."""
        return HostEvent()

    def forget_peak(self) -> None:
        """Count the largest use of memory anew from here on."""

    def peak_memory(self) -> dict[str, int]:
        """Bytes, as ``Clocked.device_memory`` has them."""
        return {}

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Run the function, which works on memory that stays where it is, and give back what does the same again."""
        function()
        return function


def device_of(kind: str) -> Device:
    """The device of this name. Raises VariantUnavailable where it is not to be had."""
    if kind == "cpu":
        return Device()
    from isobatch.models.pytorch.device import cuda  # what it asks of torch is not in every build

    if missing := cuda.why_not():
        raise VariantUnavailable(*missing)
    return cuda.Cuda()


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
    """The kernels that ``call`` ran on the device, each once, in order, as ``in_words`` tells them.

    By torch's own profiler. On the CPU torch names no kernels: there they are the operators that call no others which
    compute. Empty where the profiler saw nothing, as without the right to read the device's counters. The call is made
    once before, so that what libraries try out at the first call of a shape is not counted.
    """
    where, activity = _KINDS[device.kind]
    call()
    device.synchronize()
    with profile(activities=[ProfilerActivity.CPU, *({activity} - {ProfilerActivity.CPU})]) as seen:
        call()
        device.synchronize()
    events = seen.events() or []
    names = [e.name for e in events if e.device_type == where and not any(map(_computes, e.cpu_children))]
    return tuple(dict.fromkeys(in_words(name) for name in names if computes(name)))


def _computes(event: Any) -> bool:
    """Whether an operator, or one that it calls, does arithmetic."""
    return computes(event.name) or any(map(_computes, event.cpu_children))

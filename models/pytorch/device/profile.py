"""Which kernels one call ran on a device, by torch's own profiler."""

from collections.abc import Callable
from typing import Any

from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from isobatch.models.pytorch.device.kernel_names import computes, read_name

_KINDS = {"cpu": (DeviceType.CPU, ProfilerActivity.CPU), "cuda": (DeviceType.CUDA, ProfilerActivity.CUDA)}


def profiled(kind: str, synchronize: Callable[[], None], call: Callable[[], Any]) -> tuple[str, ...]:
    """The kernels that ``call`` ran on a device of this kind, each once, in order, as ``KernelName`` writes them.

    On the CPU torch names no kernels: there they are the operators that call no others which compute. Empty where the
    profiler saw nothing, as without the right to read the device's counters. The call is made once before, so that what
    libraries try out at the first call of a shape is not counted.
    """
    where, activity = _KINDS[kind]
    call()
    synchronize()
    with profile(activities=[ProfilerActivity.CPU, *({activity} - {ProfilerActivity.CPU})]) as seen:
        call()
        synchronize()
    events = seen.events() or []
    names = [e.name for e in events if e.device_type == where and not any(map(_computes, e.cpu_children))]
    return tuple(dict.fromkeys(str(read_name(name)) for name in names if computes(name)))


def _computes(event: Any) -> bool:
    """Whether an operator, or one that it calls, does arithmetic."""
    return computes(event.name) or any(map(_computes, event.cpu_children))

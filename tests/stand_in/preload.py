"""What launchers import in place of ``machine.preload``: the same, and a device that answers to the name of cuda."""

import isobatch.models.machine.preload  # noqa: F401 (as a launcher does)
from isobatch.models.pytorch import runner as torch_runner
from isobatch.models.pytorch.device import cuda as cuda_device
from isobatch.models.pytorch.device import devices


class StandIn(devices.Device):
    """Computes on the CPU, with the switches of a GPU and counters that count nothing."""

    opened, check, in_effect = cuda_device.Cuda.opened, cuda_device.Cuda.check, cuda_device.Cuda.in_effect

    def words(self) -> str:
        return "stand-in"

    def peak_memory(self) -> dict[str, int]:
        return {"allocated": 1_000_000, "reserved": 2_000_000}


def device_of(kind: str) -> devices.Device:
    return StandIn() if kind == "cuda" else devices.Device()


torch_runner.device_of = device_of
cuda_device.why_not = lambda: None
cuda_device.facts = lambda: {"GPU": "stand-in", "driver": "0", "CUDA": "0", "cuDNN": "0"}

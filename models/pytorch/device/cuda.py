"""A CUDA device: its switches, events, counters, graphs and facts. To be used in workers only."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from isobatch.models.pytorch.device.devices import Device
from isobatch.models.spec.words import CudaOptions

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_REMEDY = "use a machine with an NVIDIA GPU and torch's CUDA build, or --device cpu"
_DRIVER = Path("/proc/driver/nvidia/version")
_WARM_UP = 3  # calls before a graph is recorded, as torch's manual has it: libraries allocate at the first ones


class Cuda(Device):
    """The current CUDA device of this process."""

    kind = "cuda"
    place = torch.device("cuda")

    @contextmanager
    def opened(self, options: CudaOptions) -> Iterator[None]:
        """Within it torch's switches are as the options say; left, as before.

        Raises RuntimeError where a switch reads back otherwise, or where the environment does not hold the workspace
        asked for, which cuBLAS reads when it loads.
        """
        cudnn, deterministic = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
        # of convolutions, and of recurrent layers too: torch refuses to tell of cuDNN as a whole where they differ
        precise: tuple[Any, ...] = torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn  # type: ignore[attr-defined]
        with ExitStack() as stack:
            for holder, name in (*((part, "fp32_precision") for part in precise), (cudnn, "benchmark")):
                stack.callback(setattr, holder, name, getattr(holder, name))
            warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
            stack.callback(torch.use_deterministic_algorithms, deterministic, warn_only=warn_only)
            for part in precise if options.tf32 != "default" else ():
                part.fp32_precision = "tf32" if options.tf32 == "on" else "ieee"
            cudnn.benchmark = options.cudnn_benchmark == "on"
            torch.use_deterministic_algorithms(options.deterministic == "on")
            self.check(options)
            yield

    def check(self, options: CudaOptions) -> None:
        """Raise RuntimeError unless all that was asked for holds now."""
        in_effect = switches()
        asked = {"cuDNN benchmark": options.cudnn_benchmark, "deterministic algorithms": options.deterministic}
        if options.tf32 != "default":
            asked |= {"TF32 in matrix products": options.tf32, "TF32 in convolutions": options.tf32}
        if options.cublas_workspace != "default":
            asked |= {WORKSPACE: options.cublas_workspace}
        wrong = [
            f"{name} is {in_effect[name]}, and {value} was asked for"
            for name, value in asked.items()
            if in_effect[name] != value
        ]
        if wrong:
            raise RuntimeError(f"{'; '.join(wrong)}: nothing was kept")

    def in_effect(self) -> str:
        """torch's switches as they stand."""
        return "; ".join(f"{name} {value}" for name, value in switches().items())

    def words(self) -> str:
        """The GPU's name."""
        return f"CUDA, {torch.cuda.get_device_name()}"

    def synchronize(self) -> None:
        """Wait for all streams."""
        torch.cuda.synchronize()

    def event(self) -> torch.cuda.Event:
        """A CUDA event with its time (resolution about 0.5 microseconds)."""
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def forget_peak(self) -> None:
        """Reset torch's counters of this device."""
        torch.cuda.reset_peak_memory_stats()

    def peak_memory(self) -> dict[str, int]:
        """What torch's allocator gave to tensors, and what it took from the device, at most."""
        return {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """The function recorded as a CUDA graph."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                function()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function()
        return graph.replay


def why_not() -> tuple[str, str] | None:
    """Why no CUDA device can be used here, and what to do; None where one can. Initialises CUDA in this process."""
    if torch.version.cuda is None:
        built = f"for ROCm {torch.version.hip}" if torch.version.hip else "without CUDA"
        return f"torch {torch.__version__} is built {built}", _REMEDY
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.ones(1, device="cuda").add(1).item()  # a build without kernels for this GPU fails only here
    except (RuntimeError, AssertionError) as error:
        return f"torch {torch.__version__} finds no usable GPU: {' '.join(str(error).split())[:200]}", _REMEDY
    return None


def facts() -> dict[str, str]:
    """The GPU and what drives it, for the report. Needs a device that can be used."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "GPU": torch.cuda.get_device_name(),
        "compute capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": str(properties.multi_processor_count),
        "GPU memory": f"{properties.total_memory / 1e9:.1f} GB",
        "driver": driver_version(_DRIVER.read_text() if _DRIVER.is_file() else ""),
        "CUDA": str(torch.version.cuda),
        "cuDNN": "absent" if cudnn is None else str(cudnn),
    }


def driver_version(text: str) -> str:
    """The driver's version from what the kernel module says of itself (/proc/driver/nvidia/version)."""
    version = re.search(r"Kernel Module\b.*?\s(\d+(?:\.\d+)+)", text)
    return version[1] if version else "unknown"


def switches() -> dict[str, str]:
    """The switches as they stand, read back from torch and from the environment."""
    reduced = torch.backends.cuda.matmul
    return {
        "TF32 in matrix products": _word(reduced.fp32_precision == "tf32"),
        "TF32 in convolutions": _word(torch.backends.cudnn.conv.fp32_precision == "tf32"),  # type: ignore[attr-defined]
        "cuDNN benchmark": _word(torch.backends.cudnn.benchmark),
        "deterministic algorithms": _word(torch.are_deterministic_algorithms_enabled()),
        "reduced-precision sums of fp16": _word(reduced.allow_fp16_reduced_precision_reduction),
        "reduced-precision sums of bf16": _word(reduced.allow_bf16_reduced_precision_reduction),
        WORKSPACE: os.environ.get(WORKSPACE, "not set"),
    }


def _word(on: bool) -> str:
    return "on" if on else "off"

"""The machine: what every verdict's scope names. Read without importing a numeric library."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.machine.isa_caps import CAPS, NATIVE
from isobatch.pipeline.records.study import Environment

_PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "numpy", "scipy", "safetensors", "pillow")
_OPTIONAL = ("openvino", "nncf", "torchao", "timm", "ray")
_FEATURES = {  # /proc/cpuinfo's word: what people call it
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_int8": "AMX INT8",
    "amx_bf16": "AMX BF16",
    "amx_fp16": "AMX FP16",
}
INHERITED = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "FBGEMM_ENABLE_INSTRUCTIONS",
    "LD_PRELOAD",
)
"""Variables of the caller's own that move bits or time in the workers, which inherit them."""

INHERITED_CUDA = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUBLASLT_WORKSPACE_SIZE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "PYTORCH_CUDA_ALLOC_CONF",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
)
"""More of them, which have a meaning on a CUDA device only."""

_KEEP_PAGES = str(4 << 30)


def cuda_settings(options: CudaOptions) -> dict[str, str]:
    """What a worker's environment has in addition for a CUDA device.

    cuBLAS reads its workspace when it loads. Where torch is asked whether there is a GPU at all, NVML answers: the
    runtime's answer would leave a process whose children cannot use one.
    """
    workspace = {} if options.cublas_workspace == "default" else {"CUBLAS_WORKSPACE_CONFIG": options.cublas_workspace}
    return {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", **workspace}


def worker_settings(threads: int, isa: str = NATIVE) -> dict[str, str]:
    """The environment a worker starts in: its threads, its ISA cap, an allocator that keeps its pages, no telemetry.

    glibc gives large blocks back to the kernel on every free; fresh pages on every call cost batched ResNet50 10 to
    55 % of its throughput. Both thresholds are needed; no output bit depends on them. onnxruntime 1.32 reports models
    and a device id to its makers unless told not to before it loads.
    """
    return {
        "OMP_NUM_THREADS": str(threads),
        "MALLOC_TRIM_THRESHOLD_": _KEEP_PAGES,
        "MALLOC_MMAP_THRESHOLD_": _KEEP_PAGES,
        "ORT_DISABLE_TELEMETRY": "1",
        **CAPS[isa].variables,
    }


def inherited_settings(environment: Mapping[str, str] = {}, names: Iterable[str] = INHERITED) -> dict[str, str]:
    """The variables of these names that are set; of a path only the file's name, as reports are sent around.

    ``environment``: on top of this process's environment.
    """
    every = os.environ | dict(environment)
    return {name: Path(value).name for name in names if (value := every.get(name))}


def available_cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@cache
def cpu_flags() -> frozenset[str]:
    """The processor's features, in the kernel's words; empty where the kernel does not tell."""
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def cpu_name() -> str:
    """The processor's name, as the kernel tells it."""
    name = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), "")
    return name or platform.processor() or platform.machine()


@cache
def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def read_environment(
    threads: int,
    readback: Mapping[str, str],
    settings: Mapping[str, str],
    by_cap: Mapping[str, Mapping[str, str]] = {},
    device: Mapping[str, str] = {},
) -> Environment:
    """The environment record. ``readback`` is what the workers' libraries say is in effect, ``by_cap`` under caps.

    ``device``: the facts of a GPU that was used.
    """
    return Environment(
        cpu=cpu_name(),
        cores=available_cores(),
        memory_bytes=memory_bytes(),
        os=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        isa_hardware=", ".join(text for flag, text in _FEATURES.items() if flag in cpu_flags()) or platform.machine(),
        isa_effective=dict(readback),
        isa_by_cap={isa: dict(seen) for isa, seen in by_cap.items()},
        threads=threads,
        packages=toolchain() | _versions(_OPTIONAL),
        settings=inherited_settings(names=(*INHERITED, *(INHERITED_CUDA if device else ()))) | dict(settings),
        device=dict(device),
    )


@cache
def toolchain() -> dict[str, str]:
    """Versions of the libraries that decide bits: part of every artifact's key."""
    return {"python": ".".join(map(str, sys.version_info[:2])), **_versions(_PACKAGES)}


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    installed = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


def bit_settings() -> dict[str, str]:
    """The variables of ``INHERITED`` that are set and mean the same on every machine."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ and name != "LD_PRELOAD"}


def machine(settings: Mapping[str, str] = {}, device: Mapping[str, str] = {}) -> str:
    """One line that is the same on two machines whose evidence may stand in one study, and on no others.

    ``settings``: of the worker, on top of this process's environment. ``device``: the facts of the GPU that computed.
    Kernels are chosen by features and by model (its caches), and differ between versions.
    """
    versions = ", ".join(f"{name} {version}" for name, version in toolchain().items())
    there = {**device, **inherited_settings(settings, INHERITED_CUDA)} if device else {}
    return "; ".join(
        [cpu_name(), machine_key(settings), versions, *(f"{name}={value}" for name, value in there.items())]
    )


def machine_key(settings: Mapping[str, str] = {}) -> str:
    """What decides bits on this machine: processor features, and the caps on them in the caller's environment."""
    features = "-".join(flag for flag in _FEATURES if flag in cpu_flags()) or platform.machine()
    return "; ".join([features, *(f"{name}={value}" for name, value in inherited_settings(settings).items())])

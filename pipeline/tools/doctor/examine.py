"""Reads and probes this machine for ``doctor``: every worker's crash is an answer, and nothing is written."""

import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import isobatch
from isobatch.models.machine.cpp_compiler import lacking, version
from isobatch.models.machine.crossing import DeviceSaid, TorchSaid
from isobatch.models.registry import all_variants
from isobatch.pipeline.machine.environment import (
    available_cores,
    cpu_flags,
    inherited_settings,
    read_environment,
    worker_settings,
)
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.storage.places import OUT, cache_root
from isobatch.pipeline.tools.doctor.findings import (
    DoctorFinding,
    Probes,
    compiler_findings,
    device_findings,
    isa_findings,
    normalised,
    package_findings,
    read_pins,
    resource_findings,
    settings_findings,
    storage_findings,
    variant_findings,
)

_REQUIREMENTS = Path(isobatch.__file__).resolve().parent.parent / "requirements.txt"
_CGROUP = Path("/sys/fs/cgroup")
_TIMEOUT_S = 30.0


def examine(say: Callable[[str], None]) -> list[DoctorFinding]:
    """All findings: machine, packages, variants, storage, network. ``say`` gets a line before what takes seconds."""
    cores, pins, installed = available_cores(), _pins(), _installed()
    wanted = worker_settings(cores)
    say("asking torch and onnxruntime what they do here")
    probes = _probe(wanted)
    machine = read_environment(cores, {}, {})
    memory = min([machine.memory_bytes, *_limit("memory.max")])
    return [
        DoctorFinding("machine", "processor", "ok", machine.cpu),
        *isa_findings(machine.isa_hardware, inherited_settings(), probes),
        *resource_findings(cores, _cpu_quota(), memory),
        *device_findings(probes, all_variants()),
        *compiler_findings(probes),
        *settings_findings(wanted, " ".join(platform.libc_ver()).strip(), probes),
        *package_findings(pins, installed),
        *variant_findings(all_variants(), cpu_flags(), pins, installed, probes),
        *storage_findings(_place(name, path) for name, path in (("out/", OUT.resolve()), ("cache", cache_root()))),
        DoctorFinding(
            "network", "network", "ok", "not needed; only --weights imagenet-v1, imagenet-v2 and pretrained download"
        ),
    ]


def _installed() -> dict[str, str]:
    packages = [(distribution.metadata["Name"], distribution.version) for distribution in metadata.distributions()]
    return {normalised(name): version for name, version in reversed(packages) if name}  # the first one is imported


def _pins() -> dict[str, str]:
    try:
        return read_pins(_REQUIREMENTS.read_text())
    except OSError:
        return {}


def _probe(wanted: dict[str, str]) -> Probes:
    engines = sorted({str(spec.recipe["engine"]) for spec in all_variants() if "engine" in spec.recipe})
    errors: dict[str, str] = {}

    with Workers(_TIMEOUT_S) as workers:

        def ask(name: str, function: str, payload: Any) -> Any:
            try:
                return workers.call(wanted, function, payload)
            except WorkerError as error:
                errors[name] = error.reason
                return None

        told = ask("torch", "isobatch.models.machine.in_worker:torch_probe", list(wanted))
        torch = TorchSaid.of(told) if told else None
        clipping = ask("onnxruntime", "isobatch.models.machine.in_worker:ort_probe", None) or ()
        gpu = ask("GPU", "isobatch.models.machine.in_worker:cuda_probe", None)
        there = [name for name in engines if torch and name in torch.engines]
        saturates = {name: ask(name, "isobatch.models.machine.in_worker:engine_saturates", name) for name in there}
    known = {name: saturated for name, saturated in saturates.items() if saturated is not None}
    return Probes(torch, tuple(clipping), known, errors, lacking(), version(), DeviceSaid.of(gpu) if gpu else None)


def _limit(name: str) -> list[int]:
    """A limit of this process's control group, in the kernel's units; nothing where there is none."""
    try:
        return [int((_CGROUP / name).read_text())]
    except (OSError, ValueError):  # "max": no limit
        return []


def _cpu_quota() -> float | None:
    """Processors' worth of time that the control group allows; None: no limit."""
    try:
        allowed, period = (_CGROUP / "cpu.max").read_text().split()
        return int(allowed) / int(period)
    except (OSError, ValueError):
        return None


def _place(name: str, path: Path) -> tuple[str, bool, int]:
    """The place, whether it, or the folder in which it would be made, can be written, and the free bytes there."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return f"{name} in {path}", there.is_dir() and os.access(there, os.W_OK | os.X_OK), shutil.disk_usage(there).free

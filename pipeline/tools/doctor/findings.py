"""What runs on this machine, what does not, why, and what to do: findings from what was read and probed. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from isobatch.models.machine.crossing import DeviceSaid, TorchSaid
from isobatch.models.spec.words import VariantSpec
from isobatch.pipeline.machine.emulation import emulated
from isobatch.pipeline.records.wording import counted, listed

DoctorState = Literal["ok", "limited", "missing"]

LITTLE_MEMORY_BYTES = 4_000_000_000
"""A study of all variants of ResNet50 peaks at 2 to 3 GB."""
LITTLE_DISK_BYTES = 3_000_000_000
"""The artifacts of all variants of ResNet50 take about 1 GB for each set of weights, a run's folder far less."""

_BUILT_WITH = {
    "torch": ("torch", "torchvision", "safetensors"),
    "onnxruntime": ("onnxruntime", "onnx", "onnxscript", "torch", "torchvision"),
    "openvino": ("onnxruntime", "onnx", "onnxscript", "torch", "torchvision"),
}
_OPERATORS = {"QDQ": "QLinearConv", "QOperator": "QLinearConv", "ConvInteger": "ConvInteger"}


@dataclass(frozen=True)
class DoctorFinding:
    """One thing looked at. ``limited``: it works, with the reservation that ``text`` states."""

    topic: str
    name: str
    state: DoctorState
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Probes:
    """What workers found."""

    torch: TorchSaid | None = None
    clipping: tuple[str, ...] = ()  # onnxruntime's integer convolutions whose sums clip
    saturates: Mapping[str, bool] = field(default_factory=dict)  # by torch's int8 engine
    errors: Mapping[str, str] = field(default_factory=dict)  # by runtime or int8 engine: why it could not be asked
    lacking: tuple[str, str] | None = None  # why no C++ can be compiled, and what would change that
    compiler: str = ""  # what the C++ compiler says of itself
    device: DeviceSaid | None = None  # of a CUDA device


def device_findings(probes: Probes, specs: Sequence[VariantSpec]) -> list[DoctorFinding]:
    """The GPU: what it is, or why none can be used. Nothing needs one, so a machine without is in order."""
    able = listed([spec.name for spec in specs if "cuda" in spec.devices])
    said = probes.device
    if said and said.facts:
        text = ", ".join(f"{name} {value}" for name, value in said.facts.items())
        return [DoctorFinding("machine", "GPU", "ok", f"{text}; --device cuda runs {able} on it")]
    why = (said and said.why) or probes.errors.get("GPU") or "it was not asked for"
    return [
        DoctorFinding(
            "machine", "GPU", "ok", f"none is used, and none is needed: {why}; --device cuda would run {able}"
        )
    ]


def compiler_findings(probes: Probes) -> list[DoctorFinding]:
    """The C++ compiler, which the variants of torch.compile need and no others."""
    if probes.lacking is None:
        return [DoctorFinding("machine", "C++ compiler", "ok", probes.compiler or "it is there")]
    why, remedy = probes.lacking
    return [DoctorFinding("machine", "C++ compiler", "limited", f"optional, for torch.compile: {why}", remedy)]


def read_pins(text: str) -> dict[str, str]:
    """The versions that a requirements file pins, by normalised name."""
    pins = {}
    for line in text.splitlines():
        name, pinned, version = line.partition("#")[0].strip().partition("==")
        if pinned:
            pins[normalised(name)] = version.strip()
    return pins


def normalised(distribution: str) -> str:
    """The name by which indexes know a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def same_version(installed: str, pinned: str) -> bool:
    """Whether this version meets the pin: what a build adds after "+" does not count (PEP 440)."""
    return installed.partition("+")[0] == pinned.partition("+")[0]


def package_findings(pins: Mapping[str, str], installed: Mapping[str, str]) -> list[DoctorFinding]:
    """Each pinned package: there, in another version, or absent. Names in both are normalised."""
    if not pins:
        text = "requirements.txt is not beside the program: versions cannot be checked"
        return [DoctorFinding("packages", "all", "limited", text)]
    remedy = "pip install -r requirements.txt, in the environment that runs this"
    findings = []
    for name, pinned in pins.items():
        version = installed.get(name)
        if version is None:
            findings.append(DoctorFinding("packages", name, "missing", f"not installed; {pinned} is asked for", remedy))
        elif not same_version(version, pinned):
            text = (
                f"{version}; requirements.txt asks for {pinned}: other versions may give other bytes, and are untested"
            )
            findings.append(DoctorFinding("packages", name, "limited", text, remedy))
    if not findings:
        findings.append(
            DoctorFinding("packages", "all", "ok", f"{counted(len(pins), 'package')} as in requirements.txt")
        )
    return findings


def variant_findings(
    specs: Sequence[VariantSpec],
    flags: frozenset[str],
    pins: Mapping[str, str],
    installed: Mapping[str, str],
    probes: Probes,
) -> list[DoctorFinding]:
    """Each variant: whether it can be built and run here, and with what reservation. Names as in package_findings."""
    install = "pip install -c requirements.txt" if pins else "pip install"  # what is there keeps its version
    return [_variant(spec, flags, installed, probes, install) for spec in specs]


def _in_its_place(required: str, installed: Mapping[str, str]) -> str:
    """The version that is there instead of the one required, or that there is none; nothing where it is met."""
    name, _, version = required.partition("==")
    has = installed.get(normalised(name), "not installed")
    return "" if same_version(has, version) else has


def _variant(
    spec: VariantSpec, flags: frozenset[str], installed: Mapping[str, str], probes: Probes, install: str
) -> DoctorFinding:
    absent = [name for name in _BUILT_WITH[spec.runtime] if name not in installed]
    if absent:
        return _finding(spec, "missing", f"needs {listed(absent)}", f"{install} {' '.join(absent)}")
    unmet = {required: has for required in spec.requires if (has := _in_its_place(required, installed))}
    if unmet:
        state: DoctorState = "limited" if spec.optional or spec.extra else "missing"
        needs = listed([f"{required} ({has})" for required, has in unmet.items()])
        text = f"{'optional: ' if spec.optional or spec.extra else ''}needs {needs}"
        return _finding(spec, state, text, f"{install} {' '.join(unmet)}")
    if spec.compiled and probes.lacking is not None:
        why, remedy = probes.lacking
        return _finding(spec, "limited", f"optional: {why}", remedy)
    if error := probes.errors.get(spec.runtime):
        return _finding(spec, "missing", f"{spec.runtime} does not work here: {error}", "see the packages above")
    engine = spec.recipe.get("engine")
    if engine and probes.torch and engine not in probes.torch.engines:
        has = listed(probes.torch.engines)
        return _finding(spec, "missing", f"torch has no int8 engine {engine} here (it has {has})", "use an x86 machine")
    if engine and (error := probes.errors.get(engine)):
        return _finding(spec, "missing", f"its engine {engine} does not work here: {error}", "measure other variants")
    if spec.compiled and emulated(spec, flags):
        return _finding(spec, "limited", f"optional: this processor has none of {', '.join(spec.native_isa)}")
    if emulated(spec, flags):
        text = f"runs, emulated: this processor has none of {', '.join(spec.native_isa)}; measured on few images"
        return _finding(spec, "limited", text)
    if text := _saturation(spec, probes):
        return _finding(spec, "limited", text)
    return _finding(spec, "ok", spec.summary)


def _saturation(spec: VariantSpec, probes: Probes) -> str:
    """That sums clip here, or "". A pair of products fits 16 bits up to activations of 129: 2 x 129 x 127 = 32766."""
    engine = spec.recipe.get("engine")
    operator = _OPERATORS.get(str(spec.recipe.get("format")))
    if engine and probes.saturates.get(engine):
        known = "runs; its engine clips sums of extreme values at 16 bits here"
        return known + ("; reduce_range keeps most activations clear of it" if spec.recipe.get("reduce_range") else "")
    if spec.runtime == "onnxruntime" and operator in probes.clipping:
        return f"runs; {operator} clips sums of extreme values at 16 bits here"
    return ""


def _finding(spec: VariantSpec, state: DoctorState, text: str, remedy: str = "") -> DoctorFinding:
    return DoctorFinding("variants", spec.name, state, text, remedy)


def isa_findings(hardware: str, inherited: Mapping[str, str], probes: Probes) -> list[DoctorFinding]:
    """The processor's features, what the libraries use of them, and caps that the caller's environment sets."""
    findings = [DoctorFinding("machine", "instruction sets", "ok", hardware)]
    if "AVX2" not in hardware:
        text = f"{hardware}: no AVX2, so the int8 engines run slowly or not at all"
        findings = [DoctorFinding("machine", "instruction sets", "limited", text)]
    for library, effective in (probes.torch.readback if probes.torch else {}).items():
        findings.append(DoctorFinding("machine", library, "ok", effective))
    for name, value in inherited.items():
        text = f"is set to {value}: every worker inherits it, and other kernels may run"
        findings.append(DoctorFinding("machine", name, "limited", text, f"unset {name}, unless it is meant"))
    return findings


def settings_findings(wanted: Mapping[str, str], libc: str, probes: Probes) -> list[DoctorFinding]:
    """Whether the settings of workers arrive there, and whether the allocator's have a meaning in this C library."""
    if not probes.torch:
        return []
    seen = probes.torch.settings
    lost = [name for name, value in wanted.items() if seen.get(name) != value]
    if lost:
        return [DoctorFinding("machine", "worker settings", "missing", f"{listed(lost)} did not reach a worker")]
    if not libc.startswith("glibc"):
        text = f"MALLOC_ settings have no effect with {libc or 'this C library'}: batched timings may be slower"
        return [DoctorFinding("machine", "allocator", "limited", text)]
    return [DoctorFinding("machine", "allocator", "ok", f"{libc}; keeps its pages, as set in every worker")]


def resource_findings(cores: int, quota: float | None, memory_bytes: int) -> list[DoctorFinding]:
    """Processors and memory, the container's limits included."""
    findings = [
        DoctorFinding("machine", "threads", "ok", f"{counted(cores, 'core')} to run on; --threads takes other counts")
    ]
    if quota is not None and quota < cores:
        text = f"{counted(cores, 'core')}, but a quota of {quota:g}: workers are throttled, and timings unsteady"
        findings = [DoctorFinding("machine", "threads", "limited", text, f"--threads {max(1, int(quota))}")]
    text = f"{memory_bytes / 1e9:.1f} GB"
    if memory_bytes < LITTLE_MEMORY_BYTES:
        more = f"{text}: little for ResNet50, whose study peaks at 2 to 3 GB"
        return [
            *findings,
            DoctorFinding("machine", "memory", "limited", more, "choose a smaller --model or fewer --variants"),
        ]
    return [*findings, DoctorFinding("machine", "memory", "ok", text)]


def storage_findings(places: Iterable[tuple[str, bool, int]]) -> list[DoctorFinding]:
    """Each place to write: (its name, whether it can be written, free bytes)."""
    findings = []
    for name, writable, free in places:
        text = f"{free / 1e9:.1f} GB free"
        if not writable:
            findings.append(
                DoctorFinding("storage", name, "missing", "cannot be written", "set --out, or XDG_CACHE_HOME")
            )
        elif free < LITTLE_DISK_BYTES:
            remedy = "free space, or set --out and XDG_CACHE_HOME elsewhere"
            findings.append(
                DoctorFinding("storage", name, "limited", f"{text}: little for all variants of ResNet50", remedy)
            )
        else:
            findings.append(DoctorFinding("storage", name, "ok", text))
    return findings

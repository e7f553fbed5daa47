"""The conditions of a study: the product of its axes, and why one variant is not run under one of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from isobatch.models.spec.words import CudaOptions, RunnerSettings, VariantSpec
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.machine.emulation import emulated, why_emulated
from isobatch.pipeline.machine.environment import cpu_flags, cuda_settings, worker_settings
from isobatch.pipeline.machine.isa_caps import LIBRARIES, NATIVE
from isobatch.pipeline.records.study import Condition
from isobatch.pipeline.records.wording import condition_words


@dataclass(frozen=True)
class GridPoint:
    """What a worker starts and opens its engine with: a condition without what the images bring."""

    threads: int
    isa: str = NATIVE
    memory_format: str = "contiguous"
    cuda: CudaOptions | None = None  # None: on the CPU

    @classmethod
    def of(cls, condition: Condition) -> GridPoint:
        """The setting of a condition."""
        return cls(condition.threads, condition.isa, condition.memory_format, condition.cuda)

    @property
    def device(self) -> str:
        """Where its variants run."""
        return "cpu" if self.cuda is None else "cuda"

    def at(self, image_size: int) -> Condition:
        """The condition of images of this size, in their natural order."""
        return Condition(image_size=image_size, device=self.device, **vars(self))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its launcher."""
        return worker_settings(self.threads, self.isa) | (cuda_settings(self.cuda) if self.cuda else {})

    @property
    def runner(self) -> RunnerSettings:
        """What the engine is opened with."""
        return RunnerSettings(self.threads, self.memory_format, self.device, self.cuda)

    @property
    def words(self) -> str:
        """What is particular in it, for a line of progress: ``1 thread, isa avx2, channels_last``."""
        return condition_words(self.at(1))


def grid_points(config: Config) -> list[GridPoint]:
    """Every setting of the grid: those of the CPU, then those of the study's device if it is another.

    On a device neither the host's threads nor an ISA cap take part in the arithmetic: the most threads, no cap.
    """
    axes = itertools.product(config.isa, config.memory_format, config.threads)
    on_cpu = [GridPoint(threads, isa, memory_format) for isa, memory_format, threads in axes]
    on_device = itertools.product(config.memory_format, config.cuda)
    return on_cpu + [GridPoint(max(config.threads), NATIVE, layout, options) for layout, options in on_device]


def device_of(config: Config, spec: VariantSpec) -> str:
    """Where a variant runs in this study: on its device if it can, else on the CPU."""
    return config.device if config.device in spec.devices else "cpu"


def base(config: Config, device: str = "cpu") -> GridPoint:
    """The setting of what is not itself measured over settings, accuracy and cost."""
    if device == "cpu":
        return GridPoint(max(config.threads), config.isa[0], config.memory_format[0])
    return GridPoint(max(config.threads), NATIVE, config.memory_format[0], config.cuda[0])


@dataclass
class Caps:
    """Which cap reaches which runtime, by what the libraries read back in a launcher started with it."""

    seen: dict[str, dict[str, str]] = field(default_factory=dict)  # by cap: what each library said, at the most threads
    reasons: dict[str, str] = field(default_factory=dict)  # by cap: why it cannot be asked for at all

    def why_not(self, isa: str, runtime: str) -> str | None:
        """Why a runtime is not measured under a cap: refused, or it reads back as without it."""
        if isa == NATIVE:
            return None
        if isa in self.reasons:
            return self.reasons[isa]
        native, capped = ({name: self.seen[cap].get(name) for name in LIBRARIES[runtime]} for cap in (NATIVE, isa))
        if any(read is not None and read != native[name] for name, read in capped.items()):
            return None
        said = "; ".join(f"{name}: {read}" for name, read in native.items() if read is not None)
        same = f", which reads back as without it ({said})" if said else ": none of its variables is known to reach it"
        return f"unavailable: the cap {isa} has no effect on {runtime}{same}"


def base_of(config: Config, spec: VariantSpec, caps: Caps) -> GridPoint:
    """As ``base``, of one variant: under the first ISA of the study that acts on its runtime."""
    point = base(config, device_of(config, spec))
    if point.device != "cpu" or not caps.seen:
        return point
    able = (isa for isa in config.isa if caps.why_not(isa, spec.runtime) is None)
    return replace(point, isa=next(able, point.isa))


def why_not(spec: VariantSpec, under: GridPoint, config: Config, caps: Caps) -> tuple[str, str] | None:
    """What of a setting keeps a variant from being run under it, and why; None where nothing does.

    A memory format or an option that cannot act is run once, under the study's first, never again under another name.
    Arithmetic that the processor lacks even without a cap is run under the base setting only.
    """
    if under.cuda and under.cuda.tf32 != config.cuda[0].tf32 and spec.precision != "fp32":
        return f"tf32 {under.cuda.tf32}", "unavailable: no effect: TF32 is a way to multiply float32 values"
    if under.memory_format != config.memory_format[0]:
        if spec.runtime != "torch":
            return under.memory_format, f"unavailable: no effect: {spec.runtime} chooses its own layouts"
        if under.device == "cpu" and (fixed := spec.recipe.get("memory_format")):
            return under.memory_format, f"unavailable: no effect: this variant runs in {fixed} by its recipe"
    if reason := caps.why_not(under.isa, spec.runtime):
        more = "" if NATIVE in config.isa else f"; with --isa native,{under.isa} it is measured without the cap too"
        return f"isa {under.isa}", f"{reason}{more}"
    if under.cuda is None and emulated(spec, cpu_flags()) and under != (only := base_of(config, spec, caps)):
        return under.words, f"{why_emulated(spec)}; it is measured under {only.words}"
    return None

"""The study's configuration: from arguments to one validated, frozen record. Imports no numeric library."""

import argparse
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from isobatch.models.spec.images import Size
from isobatch.models.spec.nearest import did_you_mean
from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.config.grid import AXES, CUDA_AXES, MEMORY_FORMATS, OWN_SIZE, PRESETS, Axes, read_grid, words
from isobatch.pipeline.config.numbers import (
    LARGEST_SEED,
    SMALLEST,
    batches,
    duration,
    numbers,
    real_number,
    seconds,
    whole,
)
from isobatch.pipeline.config.own_network import read_address, read_batch_axes, read_engine, read_outcome
from isobatch.pipeline.config.policy_flags import PolicyFlags as PolicyFlags  # part of the configuration
from isobatch.pipeline.config.policy_flags import read_policy
from isobatch.pipeline.config.preprocessing import PreprocessingAsked, read_preprocessing, read_size
from isobatch.pipeline.config.sources import DEFAULT, UserSetting, UserSettings
from isobatch.pipeline.config.variants import variants_of
from isobatch.pipeline.machine.isa_caps import CAPS, NATIVE
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.study import NEIGHBOURS, Policy
from isobatch.pipeline.records.wording import listed

Explain = Literal["default", "full", "none"]
DEVICES = ("cpu", "cuda")
RACE_S, QUICK_RACE_S = 60.0, 20.0
CERTIFIED, QUICK_CERTIFIED, UNCERTIFIED = "1-32", "1-16", "off"
_MOST_THREADS = 1024  # of one process: beyond any CPU's, and a slip of the hand would start them all


@dataclass(frozen=True)
class Config:
    """Everything that decides a study. Fields of ``_TALK`` decide only how it is shown and where it is kept."""

    variants: tuple[str, ...]
    model: str = "resnet50"
    onnx: str | None = None
    weights: str = "auto"
    state_dict: str | None = None  # which of the state dicts in a weights file
    inputs: str = "auto"
    outcome: str = "auto"  # of the user's own network: what is read from its outputs
    batch_axes: tuple[tuple[str, int], ...] = ()  # of an ONNX file, where the batch is not the first axis
    class_order: str | None = None  # of labelled folders: "text" or "number"; None: by what they are called
    classes: str | None = None  # a file with the names of the classes
    labels: str | None = None  # a file with the labels of the images
    images: int | None = None  # None: 16, and 4 for the seed set
    preprocessing: PreprocessingAsked = field(default_factory=PreprocessingAsked)
    image_size: Size | None = None  # None: that of the weights
    also_sizes: tuple[Size, ...] = ()  # more image sizes, each an input set of its own
    seed: int = 42069
    batch_sizes: tuple[int, ...] = (2, 3, 4, 8, 16)
    threads: tuple[int, ...] = ()
    isa: tuple[str, ...] = (NATIVE,)
    isa_named: bool = False  # by the user, who then misses what is not to be had
    memory_format: tuple[str, ...] = ("contiguous",)
    position: tuple[int, ...] = (1,)  # by how many places batches are rotated
    neighbours: tuple[str, ...] = NEIGHBOURS[:1]  # what replaces the last image of every batch
    device: str = "cpu"
    cuda: tuple[CudaOptions, ...] = ()  # the product of the axes that only --device cuda has
    quick: bool = False
    thorough: bool = False  # all images at every N, in both processes
    explain: Explain = "default"  # how far origins are sought
    repair: bool = True
    race_s: float = 60.0  # 0: no race
    certify: tuple[int, ...] = ()  # N at which the choice is verified after the race; none: it is not
    budget_s: float | None = None  # seconds that the whole study may take, about
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    offline: bool = False
    engine: str = "local"
    ray_address: str | None = None
    workers: int | None = None  # at most so many at once; None: as many as threads and memory allow
    timeout_s: float = 600.0
    out: str | None = None
    junit: str | None = None  # a file
    fresh: bool = False
    dry_run: bool = False
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def decisive(self) -> dict[str, Any]:
        """The fields that decide the evidence, as JSON-ready values."""
        fields = asdict(self)
        fields.pop("policy")
        return {name: value for name, value in fields.items() if name not in _TALK}

    @property
    def digest(self) -> str:
        """8 hex digits of what decides the evidence: the same for a command typed again."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()[:8]


_ELSEWHERE = ("engine", "ray_address", "workers")  # the same evidence, wherever it is gathered
_AS_GIVEN = (
    *("model", "onnx", "weights", "state_dict", "inputs", "class_order", "classes", "labels"),
    *("quick", "thorough", "offline"),
)
_COPIED = ("out", "junit", "fresh", "dry_run", "json", "quiet", "verbose", "debug")
_TALK = (*_COPIED, "timeout_s", "offline", *_ELSEWHERE)


def explains(config: Mapping[str, Any]) -> bool:
    """Whether a report's configuration asks for an explanation."""
    return bool(config.get("explain") != "none")


def read_config(arguments: argparse.Namespace) -> Config:
    """The validated configuration. Raises UsageError: what was asked, what is possible, what to do."""
    _check_paths(arguments)
    explicit = {axis: getattr(arguments, axis) for axis in AXES}
    device = _device(arguments)
    axes = read_grid(arguments.grid, explicit, device)
    image_size, also_sizes = _sides(axes["image_size"])
    return Config(
        variants=variants_of(arguments.variants, arguments.onnx is not None),
        outcome=read_outcome(arguments),
        batch_axes=read_batch_axes(arguments.batch_axis, arguments.onnx),
        images=None if arguments.images is None else whole("--images", arguments.images, 1),
        preprocessing=read_preprocessing(arguments),
        image_size=image_size,
        also_sizes=also_sizes,
        seed=whole("--seed", arguments.seed, 0, LARGEST_SEED),
        batch_sizes=tuple(n for n in numbers("--batch-sizes", axes["batch_sizes"]) if n > 1),
        threads=numbers("--threads", axes["threads"], _MOST_THREADS),
        isa=words("--isa", axes["isa"], CAPS),
        isa_named=arguments.grid not in PRESETS or explicit["isa"] is not None,  # else a wish of the program's own
        memory_format=words("--memory-format", axes["memory_format"], MEMORY_FORMATS),
        position=numbers("--position", axes["position"]),
        neighbours=words("--neighbours", axes["neighbours"], NEIGHBOURS),
        device=device,
        cuda=_cuda(axes) if device == "cuda" else (),
        explain="none" if arguments.no_explain else arguments.explain,
        repair=not arguments.no_repair,
        race_s=_race_seconds(arguments),
        certify=_certified(arguments),
        budget_s=None if arguments.budget is None else duration("--budget", arguments.budget),
        policy=read_policy(arguments),
        engine=read_engine(arguments),
        ray_address=read_address(arguments),
        workers=None if arguments.workers is None else whole("--workers", arguments.workers, 1),
        timeout_s=seconds("--timeout", arguments.timeout),
        **{name: getattr(arguments, name) for name in (*_AS_GIVEN, *_COPIED)},
    )


def effective(settings: UserSettings, config: Config) -> tuple[UserSetting, ...]:
    """Every setting, those that nobody gave with what is in effect instead, where one value is.

    Axes come from the grid, which is named as their origin unless it is the default.
    """
    arguments = settings.arguments
    axes = read_grid(arguments.grid, {axis: getattr(arguments, axis) for axis in AXES}, config.device)
    grid = next(setting.origin for setting in settings.every if setting.flag == "--grid")
    origin = DEFAULT if arguments.grid == DEFAULT else f"--grid {arguments.grid} ({grid})"
    policy = {"--policy": Policy().stability, "--objective": config.policy.objective}
    every = []
    for setting in settings.every:
        axis = setting.flag.removeprefix("--").replace("-", "_")
        if setting.value is None and axis in axes:
            setting = replace(setting, value=axes[axis], origin=origin)
        elif setting.value is None and setting.flag in policy and not arguments.policy_file:
            setting = replace(setting, value=policy[setting.flag])
        every.append(setting)
    return tuple(every)


_NETWORK_TEXTS = ("model", "onnx", "weights", "state_dict", "classes")
_TEXTS = (*_NETWORK_TEXTS, "inputs", "labels", "out", "junit", "policy_file", "ray_address")
_OF_TORCH = {"model": "resnet50", "weights": "auto", "state_dict": None}  # with their defaults


def _check_paths(arguments: argparse.Namespace) -> None:
    """Refuse a name that is empty (most often a variable of a script that is not set), and two networks at once."""
    for name in _TEXTS:
        text = getattr(arguments, name)
        if text is not None and not text.strip():
            raise UsageError("usage", f"{_flag(name)} is empty: give it a value, or leave the flag out")
    for name, default in _OF_TORCH.items() if arguments.onnx is not None else ():
        if (text := getattr(arguments, name)) != default:
            said = f"{_flag(name)} {text!r} beside --onnx: the file brings its network and weights"
            raise UsageError("usage", f"{said}; leave one flag out")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _device(arguments: argparse.Namespace) -> str:
    text: str = arguments.device
    if text not in DEVICES:
        known = listed(DEVICES)
        raise UsageError("unknown-device", f"--device {text!r}: {did_you_mean(text, DEVICES)} Studies run on {known}")
    if text != "cpu" and arguments.engine == "ray":
        raise UsageError("usage", f"--engine ray runs on processors only: --device {text} needs --engine local")
    return text


def _cuda(axes: Axes) -> tuple[CudaOptions, ...]:
    """Every combination of the CUDA axes, without those in which cuBLAS refuses to work."""
    values = [words(axis, axes[axis], known) for axis, known in CUDA_AXES.items()]
    options = (CudaOptions(*choice) for choice in itertools.product(*values))
    able = tuple(cuda for cuda in options if cuda.deterministic == "off" or cuda.cublas_workspace != "default")
    if not able:
        raise UsageError(
            "bad-grid", "deterministic = on needs cublas_workspace = :4096:8 or :16:8: without, cuBLAS refuses to work"
        )
    return able


def _race_seconds(arguments: argparse.Namespace) -> float:
    asked = real_number("--race-seconds", arguments.race_seconds)
    return (QUICK_RACE_S if arguments.quick else RACE_S) if asked is None else asked


def _certified(arguments: argparse.Namespace) -> tuple[int, ...]:
    text: str = arguments.certify or (QUICK_CERTIFIED if arguments.quick else CERTIFIED)
    return () if text == UNCERTIFIED else tuple(batches(numbers("--certify", text), flag="--certify"))


def _sides(text: str) -> tuple[Size | None, tuple[Size, ...]]:
    """The image size of the study, None for that of the weights, and the other ones, each once."""
    first, *others = (part.strip() for part in text.split(","))
    main = None if first == OWN_SIZE else read_size("--image-size", first, SMALLEST)
    also = dict.fromkeys(read_size("--image-size", part, SMALLEST) for part in others)
    return main, tuple(size for size in also if size != main)

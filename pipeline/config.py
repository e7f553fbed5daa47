"""The study's configuration: from arguments to one validated, frozen record. Imports no numeric library."""

from __future__ import annotations

import argparse
import difflib
import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NoReturn

from models.registry import all_variants, find_variant
from models.spec import CudaOptions
from pipeline.errors import UsageError
from pipeline.grid import AXES, CUDA_AXES, MEMORY_FORMATS, OWN_SIZE, Axes, only_wished, read_grid, words
from pipeline.isa import CAPS, NATIVE
from pipeline.policy_flags import PolicyFlags as PolicyFlags  # part of the configuration
from pipeline.policy_flags import add_policy, read_policy, real_number
from pipeline.records import NEIGHBOURS, Policy
from pipeline.settings import DEFAULT, Setting, Settings
from pipeline.wording import listed

VERSION = "0.1.0"
Explain = Literal["default", "full", "none"]
ENGINES = ("local", "ray")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Config:
    """Everything that decides a study. Fields of ``_TALK`` decide only how it is shown and where it is kept."""

    variants: tuple[str, ...]
    model: str = "resnet50"
    onnx: str | None = None
    weights: str = "auto"
    inputs: str = "auto"
    images: int | None = None  # None: 16, and 4 for the seed set
    image_size: int | None = None  # None: that of the weights
    also_sizes: tuple[int, ...] = ()  # more image sizes, each an input set of its own
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
    explain: Explain = "default"  # how far origins are sought
    repair: bool = True
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    offline: bool = False
    engine: str = "local"
    ray_address: str | None = None
    workers: int | None = None  # at most so many at once; None: as many as threads and memory allow
    timeout_s: float = 600.0
    out: str | None = None
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
_TALK = ("out", "fresh", "dry_run", "json", "quiet", "verbose", "debug", "timeout_s", "offline", *_ELSEWHERE)


def explains(config: Mapping[str, Any]) -> bool:
    """Whether a report's configuration asks for an explanation; reports of earlier versions say so by true or false."""
    return config.get("explain", True) not in (False, "none")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are the contract's: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, naming the nearest flag where one is unknown."""
        unknown = re.match(r"unrecognized arguments: (--[a-z-]+)", message)
        near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1) if unknown else []
        hint = f": did you mean {near[0]}?" if near else "."
        raise UsageError("usage", f"{message}{hint} See python run.py --help")


def study_parser(commands: str = "") -> argparse.ArgumentParser:
    """The parser of the study's own flags; ``commands`` says in its help what else run.py can do."""
    parser = Parser(
        prog="run.py",
        description="Isobatch: does the answer depend on the batch, for which precision, and what should be deployed?",
        epilog=f"{commands}exit codes:\n  0 policy met, 1 not met, 2 usage, 3 in part, 4 tool failed, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"isobatch {VERSION}")
    parser.add_argument("--list-variants", action="store_true", help="list the variants and stop")
    parser.add_argument("--variants", default="all", help="'all' (every variant not optional) or a list: fp32,ort-int8")
    conditions = add_scope(parser)
    conditions.add_argument("--grid", default="default", help="default, wide or FILE.toml; a flag replaces its axis")
    conditions.add_argument("--isa", help=f"instruction sets, a list of {', '.join((NATIVE, *CAPS))} (default: native)")
    conditions.add_argument("--memory-format", help=f"of torch, a list of {', '.join(MEMORY_FORMATS)}")
    conditions.add_argument("--position", metavar="K", help="rotate batches by K places, a list (default: 1)")
    conditions.add_argument(
        "--neighbours", help=f"what replaces each batch's last image: {', '.join(NEIGHBOURS)} (default: outlier)"
    )
    conditions.add_argument(
        "--device", default="cpu", help="cpu, or cuda: torch's float variants run there (default: %(default)s)"
    )
    stages = parser.add_argument_group("stages")
    stages.add_argument("--quick", action="store_true", help="only the input set of the original question")
    stages.add_argument(
        "--explain", default="default", choices=("default", "full"), help="full: seek rare origins without a time limit"
    )
    stages.add_argument("--no-explain", action="store_true", help="do not seek origins, nor repair what differs")
    stages.add_argument("--no-repair", action="store_true", help="seek origins, and repair nothing")
    stages.add_argument("--dry-run", action="store_true", help="print the jobs and stop")
    add_policy(parser)
    running = parser.add_argument_group("running")
    running.add_argument("--engine", choices=ENGINES, default="local", help="this machine, or a Ray cluster")
    running.add_argument("--ray-address", metavar="HOST:PORT", help="of a running cluster (default: one of its own)")
    running.add_argument("--workers", metavar="N", help="at most N at a time (default: what cores and memory fit)")
    running.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    running.add_argument("--out", metavar="DIR", help="the run's folder (default: out/<time>-<configuration>)")
    running.add_argument("--fresh", action="store_true", help="start anew instead of resuming an unfinished run")
    running.add_argument("--offline", action="store_true", help="never download, not even a named choice")
    talk = parser.add_argument_group("talk")
    talk.add_argument("--json", action="store_true", help="the report on stdout, all else on stderr")
    talk.add_argument("--quiet", action="store_true", help="no progress")
    talk.add_argument(
        "--config", metavar="FILE", help="settings as TOML (default: isobatch.toml, where it stands here)"
    )
    talk.add_argument("--show-config", action="store_true", help="print each setting with its origin and stop")
    talk.add_argument("--verbose", action="store_true", help="all tables on the terminal, not only the summary")
    talk.add_argument("--debug", action="store_true", help="tracebacks of errors")
    return parser


def add_scope(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the flags of network, inputs, N and threads, shared by the study and ``repair``; the group of conditions."""
    what = parser.add_argument_group("what")
    what.add_argument("--model", default="resnet50", help="a torchvision classifier (default: %(default)s)")
    what.add_argument("--onnx", metavar="FILE", help="the user's own ONNX classifier; ORT variants are made from it")
    what.add_argument(
        "--weights", default="auto", help="auto, digits, imagenet-v2, imagenet-v1, random or FILE (default: auto)"
    )
    what.add_argument("--inputs", default="auto", help="auto, seed, digits, photos, a folder or FILE.npy")
    what.add_argument("--images", metavar="N", help="images per input set (default: 16, and 4 for the seed set)")
    what.add_argument(
        "--image-size", metavar="S", help="side in pixels, or a list: 224,192 (default: auto, of the weights)"
    )
    what.add_argument("--seed", default="42069", help="of the drawn input set (default: %(default)s)")
    conditions = parser.add_argument_group("conditions")
    conditions.add_argument("--batch-sizes", help="lists and ranges: 2,4,8 or 1-32; 1 means the repeat")
    conditions.add_argument("--threads", help="thread counts, a list: 1,2 (default: all cores)")
    return conditions


def read_config(arguments: argparse.Namespace) -> Config:
    """The validated configuration. Raises UsageError: what was asked, what is possible, what to do."""
    explicit = {axis: getattr(arguments, axis) for axis in AXES}
    device = _device(arguments)
    axes = read_grid(arguments.grid, explicit, device)
    image_size, also_sizes = _sides(axes["image_size"])
    return Config(
        variants=_variants(arguments.variants),
        model=arguments.model,
        onnx=arguments.onnx,
        weights=arguments.weights,
        inputs=arguments.inputs,
        images=None if arguments.images is None else _whole("--images", arguments.images, 1),
        image_size=image_size,
        also_sizes=also_sizes,
        seed=_whole("--seed", arguments.seed, 0),
        batch_sizes=tuple(n for n in _numbers("--batch-sizes", axes["batch_sizes"]) if n > 1),
        threads=_numbers("--threads", axes["threads"], _MOST_THREADS),
        isa=words("--isa", axes["isa"], (NATIVE, *CAPS)),
        isa_named=not only_wished(arguments.grid, explicit),
        memory_format=words("--memory-format", axes["memory_format"], MEMORY_FORMATS),
        position=_numbers("--position", axes["position"]),
        neighbours=words("--neighbours", axes["neighbours"], NEIGHBOURS),
        device=device,
        cuda=_cuda(axes) if device == "cuda" else (),
        quick=arguments.quick,
        explain="none" if arguments.no_explain else arguments.explain,
        repair=not arguments.no_repair,
        policy=read_policy(arguments),
        offline=arguments.offline,
        engine=arguments.engine,
        ray_address=_address(arguments),
        workers=None if arguments.workers is None else _whole("--workers", arguments.workers, 1),
        timeout_s=real_number("--timeout", arguments.timeout) or 600.0,
        **{name: getattr(arguments, name) for name in ("out", "fresh", "dry_run", "json", "quiet", "verbose", "debug")},
    )


def effective(settings: Settings, config: Config) -> tuple[Setting, ...]:
    """Every setting, those that nobody gave with what is in effect instead, where one value is.

    Axes come from the grid, which is named as their origin unless it is the default.
    """
    arguments = settings.arguments
    axes = read_grid(arguments.grid, {axis: getattr(arguments, axis) for axis in AXES}, config.device)
    grid = next(one.origin for one in settings.every if one.flag == "--grid")
    origin = DEFAULT if arguments.grid == DEFAULT else f"--grid {arguments.grid} ({grid})"
    policy = {"--policy": Policy().stability, "--objective": config.policy.objective}
    found = []
    for one in settings.every:
        axis = one.flag.removeprefix("--").replace("-", "_")
        if one.value is None and axis in axes:
            one = replace(one, value=axes[axis], origin=origin)
        elif one.value is None and one.flag in policy and not arguments.policy_file:
            one = replace(one, value=policy[one.flag])
        found.append(one)
    return tuple(found)


def _device(arguments: argparse.Namespace) -> str:
    text: str = arguments.device
    if text not in DEVICES:
        near = difflib.get_close_matches(text, DEVICES, n=1, cutoff=0.0)[0]
        known = listed(DEVICES)
        raise UsageError("unknown-device", f"--device {text!r}: did you mean {near!r}? Studies run on {known}")
    if text != "cpu" and arguments.engine == "ray":
        raise UsageError("usage", f"--engine ray runs on processors only: --device {text} needs --engine local")
    return text


def _cuda(axes: Axes) -> tuple[CudaOptions, ...]:
    """Every combination of the CUDA axes, without those in which cuBLAS refuses to work."""
    values = [words(axis, axes[axis], known) for axis, known in CUDA_AXES.items()]
    found = (CudaOptions(*one) for one in itertools.product(*values))
    able = tuple(one for one in found if one.deterministic == "off" or one.cublas_workspace != "default")
    if not able:
        raise UsageError(
            "bad-grid", "deterministic = on needs cublas_workspace = :4096:8 or :16:8: without, cuBLAS refuses to work"
        )
    return able


def _variants(text: str) -> tuple[str, ...]:
    if text == "all":
        return tuple(row.name for row in all_variants() if not row.optional)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("unknown-variant", "--variants names none: give 'all' or a list such as fp32,ort-int8")
    for name in names:
        try:
            find_variant(name)
        except KeyError as error:
            raise UsageError("unknown-variant", error.args[0]) from None
    return tuple(dict.fromkeys(names))


def _address(arguments: argparse.Namespace) -> str | None:
    address: str | None = arguments.ray_address
    if address is not None and arguments.engine != "ray":
        raise UsageError("usage", f"--ray-address {address!r} needs --engine ray: add it, or leave the address out")
    return address


def _sides(text: str) -> tuple[int | None, tuple[int, ...]]:
    """The image size of the study, None for that of the weights, and the other ones, each once."""
    first, *others = (part.strip() for part in text.split(","))
    main = None if first == OWN_SIZE else _whole("--image-size", first, 32)
    also = dict.fromkeys(_whole("--image-size", part, 32) for part in others)
    return main, tuple(size for size in also if size != main)


def _whole(flag: str, text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise UsageError("bad-number", f"{flag} {text!r} is not a whole number of at least {least}")
    return value


_LARGEST = 65536
_MOST_THREADS = 1024  # of one process: beyond any CPU's, and a slip of the hand would start them all


def _numbers(flag: str, text: str, largest: int = _LARGEST) -> tuple[int, ...]:
    """``2,4,8`` or ``1-32`` as sorted distinct numbers."""
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            first, last = int(low), int(high if dash else low)
        except ValueError:
            raise UsageError("bad-number", f"{flag} {text!r}: {part.strip()!r} is not a number or range") from None
        if not 1 <= first <= last <= largest:
            raise UsageError("bad-number", f"{flag} {text!r}: {part.strip()!r} must lie in 1 to {largest}, rising")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def read_sizes(flag: str, text: str, largest: int) -> tuple[int, ...]:
    """A command's list such as ``2,4,8`` or ``1-32``, sorted. Raises UsageError, also for one above ``largest``."""
    found = _numbers(flag, text)
    if found[-1] > largest:
        raise UsageError("bad-number", f"{flag} {text!r}: {found[-1]} is above {largest}, the most this command runs")
    return found


def read_whole(flag: str, text: str, least: int) -> int:
    """A command's whole number of at least ``least``. Raises UsageError."""
    return _whole(flag, text, least)

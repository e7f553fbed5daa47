"""What is asked of ``check``: which network, on which examples, over which scope. Pure."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isobatch.models.weights.file_kinds import in_folder, other_kind
from isobatch.models.weights.model_name import TIMM, is_factory
from isobatch.pipeline.config.variants import known
from isobatch.pipeline.processes.wire import Crossing
from isobatch.pipeline.records.errors import UsageError

NetworkKind = Literal["torchvision", "timm", "checkpoint", "onnx", "factory"]
Shapes = tuple[tuple[int, ...], ...]

_MOST_VALUES = 1 << 28
_OTHER = {".ort", ".xml", ".tflite", ".engine", ".plan", ".mlmodel", ".mlpackage", ".pb", ".keras",
          ".joblib", ".ubj", ".mar"}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """The network: a classifier of torchvision or timm, one with a file's weights, an ONNX file, a factory's."""

    kind: NetworkKind
    name: str  # as given
    model: str = ""  # of torchvision's and timm's
    weights: str = "auto"  # likewise


@dataclass(frozen=True)
class CheckRequest:
    """One check."""

    target: Target
    variants: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    threads: int
    inputs: str = ""  # a file or folder; "": drawn
    shapes: Shapes = ()  # of one example, by input; none where the network says so
    seed: int = 0
    seconds: float = 0.0  # 0 for no limit
    state_dict: str | None = None  # of a checkpoint that holds several
    batch_axes: tuple[tuple[str, int], ...] = ()  # of an ONNX file, where the batch is not the first axis


@dataclass(frozen=True)
class VariantAsked(Crossing):
    """One variant of what was asked, of its worker."""

    asked: CheckRequest
    variant: str
    cache: str  # its folder
    folder: str  # that of the user's own code


def target_of(network: str, model: str | None, weights: str | None) -> Target:
    """What NETWORK names. Raises UsageError where it is nothing known, or a flag does not go with it."""
    if is_factory(network):
        return _without_flags(Target("factory", network), model, weights)
    if network.startswith(TIMM):
        if model:
            raise UsageError("network", f"{network} is a network already: leave out --model {model}")
        return Target("timm", network, network, weights or "auto")
    path = Path(network)
    if path.is_dir() and (model or not network.isidentifier()):
        raise UsageError("network", in_folder(path))
    if path.suffix.lower() == ".onnx":
        _require_file(path)
        return _without_flags(Target("onnx", network), model, weights)
    if path.suffix.lower() in _OTHER:
        text = f"{network} is neither an ONNX file nor weights of torch's: export the network that it is of to ONNX"
        raise UsageError("network", text)
    if (path.exists() and not path.is_dir()) or path.suffix or "/" in network:
        _require_file(path)
        if weights:
            raise UsageError("network", f"{network} is a file of weights, and --weights names others: give one of them")
        if not model:
            if kind := other_kind(path):
                raise UsageError("network", f"{network} is {kind.what}: {kind.todo}")
            text = f"{network} is a file of weights: say of which network, --model M of torchvision or --model timm:M"
            raise UsageError("network", text)
        return Target("checkpoint", network, model, network)
    if model:
        raise UsageError("network", f"--model goes with a file of weights, and {network!r} is none")
    return Target("torchvision", network, network, weights or "auto")


def variants_of(target: Target, text: str | None) -> tuple[str, ...]:
    """The variants asked for, by default the float32 one. Raises UsageError for an unknown name."""
    names = [name.strip() for name in text.split(",") if name.strip()] if text else []
    if text and not names:
        raise UsageError("unknown-variant", "no variant is named: give a list such as fp32,ort-int8 (--list-variants)")
    return known(names) or (("ort-fp32",) if target.kind == "onnx" else ("fp32",))


def shapes_of(text: str | None) -> Shapes:
    """``3x224x224``, or several inputs, ``3x32x32,12``. Raises UsageError."""
    if not text:
        return ()
    shapes = []
    for part in text.split(","):
        if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8})*", part.strip()):
            raise UsageError(
                "input-shape", f"--input-shape {text!r}: {part.strip()!r} is no shape of one example: write 3x224x224"
            )
        shapes.append(tuple(map(int, part.strip().split("x"))))
        values = math.prod(shapes[-1])
        if values > _MOST_VALUES:
            raise UsageError("input-shape", f"--input-shape {text!r}: one example of {values:,} values is too large")
    return tuple(shapes)


def _without_flags(target: Target, model: str | None, weights: str | None) -> Target:
    flag = "--model" if model else "--weights" if weights else ""
    if flag:
        raise UsageError("network", f"{flag} is for torchvision's networks, and {target.name} brings its own: leave it")
    return target


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(
            "network",
            f"no {'regular file' if path.exists() else 'file'} {path}: NETWORK is a torchvision name, timm:NAME, "
            "package.module:factory, an ONNX file or a file of weights",
        )

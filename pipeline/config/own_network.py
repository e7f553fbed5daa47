"""What is read from the network and where it runs: flags that hang on whose code it is. Imports no numeric library."""

import argparse

from isobatch.models.spec.nearest import did_you_mean
from isobatch.models.spec.outcome import KINDS
from isobatch.models.weights.model_name import is_factory
from isobatch.pipeline.config.numbers import whole
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import listed

_BATCH_AXIS = "--batch-axis"
_LAST = 7  # of the axes that an array may have here


def has_factory(arguments: argparse.Namespace) -> bool:
    """Whether the user's own function makes the network."""
    return arguments.onnx is None and is_factory(arguments.model.partition("[")[0])


def read_outcome(arguments: argparse.Namespace) -> str:
    """The kind of outcome asked for, or ``auto``. Raises UsageError."""
    text: str = arguments.outcome
    known = ("auto", *KINDS)
    if text not in known:
        raise UsageError("usage", f"--outcome {text!r}: {did_you_mean(text, known)} There are {listed(known)}")
    if text != "auto" and arguments.onnx is None and not has_factory(arguments):
        raise UsageError(
            "usage",
            f"--outcome {text!r} needs --onnx FILE or --model package.module:factory: the others are classifiers",
        )
    return text


def read_engine(arguments: argparse.Namespace) -> str:
    """Where workers run. Raises UsageError where the network's code is on this machine alone."""
    engine: str = arguments.engine
    if engine != "local" and has_factory(arguments):
        raise UsageError(
            "usage",
            f"--engine {engine} sends no code of your own to other machines, and {arguments.model} is some: leave it "
            "out, or export the network to ONNX and give --onnx FILE",
        )
    return engine


def read_address(arguments: argparse.Namespace) -> str | None:
    """Of a running Ray cluster. Raises UsageError without ``--engine ray``."""
    address: str | None = arguments.ray_address
    if address is not None and arguments.engine != "ray":
        raise UsageError("usage", f"--ray-address {address!r} needs --engine ray: add it, or leave the address out")
    return address


def read_batch_axes(text: str | None, onnx: str | None) -> tuple[tuple[str, int], ...]:
    """Name and axis of each, in order. Raises UsageError for what is no such list, and without ``onnx``."""
    if text is None:
        return ()
    if onnx is None:
        raise UsageError(
            "usage",
            f"{_BATCH_AXIS} {text!r} is of an ONNX file's arrays: a torch network takes and gives the batch first "
            "(turn it in its forward with movedim)",
        )
    axes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, axis = part.strip().rpartition("=")
        if not equals or not name:
            raise UsageError("usage", f"{_BATCH_AXIS} {text!r}: {part.strip()!r} is no NAME=K; write x=1, or x=1,y=1")
        axes[name] = whole(f"{_BATCH_AXIS} {name}=", axis, 0, _LAST)
    return tuple(axes.items())

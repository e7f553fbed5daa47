"""What a runner may offer to repairs besides ``Rewritable``: other scales, other threads, files to deploy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.change import Scales as Scales  # what runners are asked for
from isobatch.models.spec.runner import Runner
from isobatch.models.spec.words import Json


@runtime_checkable
class Rescalable(Protocol):
    """A runner of a quantized network whose activation scales can be replaced."""

    def with_scales(self, kind: Scales, examples: NDArray[np.float32]) -> Runner:
        """A second live runner with other activation scales, used inside this runner's with block.

        ``examples`` [n, c, h, w] decide static ones. Raises VariantUnavailable where these scales cannot be had.
        """


@runtime_checkable
class Streaming(Protocol):
    """A runner that can be run with other threads than it was opened with."""

    def with_threads(self, threads: int, streams: int = 1) -> Runner:
        """A second live runner with ``threads`` threads inside operators, used inside this runner's with block.

        With several ``streams`` the images of a batch run each by itself, so many at a time.
        """


@runtime_checkable
class Deployable(Protocol):
    """A runner that can be written as files that serve without this project."""

    def write(self, folder: Path) -> dict[str, Json]:
        """Write plain numbers or ONNX: float32 images [n, c, h, w] in, outputs out, for any n.

        Returns what has to be set for running it: of torch {"type", "memory_format", "engine"}, of onnxruntime
        {"optimise": whether it may}. Raises VariantUnavailable where this network cannot be written.
        """


@runtime_checkable
class Switchable(Protocol):
    """A runner of a library whose documented switches can be turned while it is open."""

    @property
    def switches_of(self) -> str:
        """The runtime whose switches they are."""

    def with_switches(self, options: Mapping[str, Any]) -> Runner:
        """A second live runner with these options of ``pipeline.machine.switches``, within this runner's with block."""


@runtime_checkable
class Digested(Protocol):
    """A runner of a rewritten graph, which is a file of its own."""

    def digest(self) -> str:
        """The SHA-256 of the file that ``write`` makes, in hex."""

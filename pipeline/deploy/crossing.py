"""What ``deploy`` asks of the worker that writes the files, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isobatch.models.spec.change import Change
from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.processes.wire import Crossing


@dataclass(frozen=True)
class WriteAsked(Crossing):
    """A variant, or its repaired self, to be written into ``folder``."""

    variant: str
    artifact: Artifact
    settings: RunnerSettings
    images: Images
    change: Change  # what makes the repaired self
    folder: str


@dataclass(frozen=True)
class DeploymentWritten(Crossing):
    """What the written variant needs beside its files."""

    serving: Mapping[str, Any]  # what has to be set
    sha256: str | None  # of the graph, where it was rewritten

"""What ``deploy`` asks of the worker that writes the files, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.words import Artifact, RunnerSettings
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class WriteAsked(Crossing):
    """A variant, or its repaired self made by ``change`` (see ``rungs.Candidate``), to be written into ``folder``."""

    variant: str
    artifact: Artifact
    settings: RunnerSettings
    images: Images
    change: Mapping[str, Any]
    folder: str


@dataclass(frozen=True)
class DeploymentWritten(Crossing):
    """``serving``: what has to be set; ``sha256``: of the graph, where it was rewritten."""

    serving: Mapping[str, Any]
    sha256: str | None

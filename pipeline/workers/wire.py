"""What crosses the wall between the parent and its workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isobatch.models.spec.words import Artifact, Manifest

Emit = Callable[[Any], None]


def read_artifact(data: dict[str, Any]) -> Artifact:
    """The artifact from what ``build`` returned."""
    manifest = Manifest(**{**data["manifest"], "notes": tuple(data["manifest"]["notes"])})
    return Artifact(data["key"], Path(data["folder"]), manifest)


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as JSON-ready values; ``read_artifact`` is the inverse."""
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}

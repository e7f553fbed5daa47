"""What crosses the wall between the parent and its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from isobatch.models.spec.words import Artifact, Manifest

Emit = Callable[[Any], None]


def read_artifact(data: dict[str, Any]) -> Artifact:
    """The artifact from what ``build`` returned."""
    manifest = Manifest(**{**data["manifest"], "notes": tuple(data["manifest"]["notes"])})
    return Artifact(data["key"], Path(data["folder"]), manifest)


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as JSON-ready values; ``read_artifact`` is the inverse."""
    return {"key": artifact.key, "folder": str(artifact.folder), "manifest": asdict(artifact.manifest)}


@dataclass(frozen=True)
class Crossing:
    """A record that crosses the wall: what one side writes the other reads, field by field. Fields are JSON-ready."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The record in these values, of which more may be there; a list becomes a tuple. Raises KeyError for less."""
        found = {one.name: data[one.name] for one in fields(cls)}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})

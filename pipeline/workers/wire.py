"""What crosses the wall between the parent and its workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from isobatch.models.spec.plain import from_plain, to_plain
from isobatch.models.spec.words import Artifact

Emit = Callable[[Any], None]


def read_artifact(data: dict[str, Any]) -> Artifact:
    """The artifact from what ``build`` returned."""
    artifact: Artifact = from_plain(Artifact, data)
    return artifact


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """The artifact as JSON-ready values; ``read_artifact`` is the inverse."""
    plain: dict[str, Any] = to_plain(artifact)
    return plain


@dataclass(frozen=True)
class Crossing:
    """A record that crosses the wall: what one side writes the other reads, field by field, as ``from_plain`` does."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The record in these values, of which more may be there. Raises TypeError for less."""
        record: Self = from_plain(cls, data)
        return record


@dataclass(frozen=True)
class Told(Crossing):
    """What a worker tells on its way: how many ``images`` it has run since it last did, or a line to ``say``."""

    images: int = 0
    say: str = ""

"""What crosses the wall between the parent and its workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from isobatch.models.spec.plain import from_plain, to_plain

Emit = Callable[[Any], None]


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
    """What a worker tells on its way: how many ``images`` (or operations, or networks) it has run since it last did, or
    a line to ``say``.
    """

    images: int = 0
    say: str = ""


def tell_images(emit: Emit) -> Callable[[int], None]:
    """What tells ``emit`` how many images were run."""
    return lambda images: emit(Told(images=images).to_json())


def tell_text(emit: Emit) -> Callable[[str], None]:
    """What tells ``emit`` a line to say."""
    return lambda text: emit(Told(say=text).to_json())

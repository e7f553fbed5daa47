"""What crosses the wall between the parent and its workers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isobatch.models.spec.plain import Plain

Emit = Callable[[Any], None]


class Crossing(Plain):
    """A record that crosses the wall: what one side writes the other reads, field by field, as ``from_plain`` does."""


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

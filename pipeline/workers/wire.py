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
    """What a worker tells on its way: how many ``images`` it has run since it last did, or a line to ``say``."""

    images: int = 0
    say: str = ""

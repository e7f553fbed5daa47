"""A network's name with the facts that its constructor needs and its weights do not hold: ``resnet18[channels=1]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WITH_FACTS = re.compile(r"([^\[\]]*)\[([^\[\]]*)\]")
_MOST_CHANNELS = 64
TRANSFORMING = ("googlenet", "inception_v3")
"""The networks that may undo ImageNet's normalisation and apply their own, by ``transform_input``."""


@dataclass(frozen=True)
class ModelName:
    """``architecture``: torchvision's name. ``transform_input`` None: as torchvision's trained weights have it."""

    architecture: str
    channels: int = 3
    transform_input: bool | None = None

    def __str__(self) -> str:
        facts = [f"channels={self.channels}"] * (self.channels != 3)
        if self.transform_input is not None:
            facts.append(f"transform_input={'yes' if self.transform_input else 'no'}")
        return f"{self.architecture}[{','.join(facts)}]" if facts else self.architecture


def read_name(text: str) -> ModelName:
    """The parts of a name such as ``inception_v3[transform_input=no]``. Raises ValueError for an unknown fact."""
    match = _WITH_FACTS.fullmatch(text)
    if match is None:
        return ModelName(text)
    architecture, channels, transform = match[1], 3, None
    for fact in match[2].split(","):
        key, _, value = (part.strip() for part in fact.partition("="))
        if key == "channels" and value.isascii() and value.isdigit() and 1 <= int(value) <= _MOST_CHANNELS:
            channels = int(value)
        elif key == "transform_input" and value in ("yes", "no") and architecture in TRANSFORMING:
            transform = value == "yes"
        else:
            raise ValueError(
                f"--model {text!r}: {fact.strip()!r} is no fact of {architecture}: there are channels=1 to "
                f"{_MOST_CHANNELS}, and transform_input=yes or no of {' and '.join(TRANSFORMING)}"
            )
    return ModelName(architecture, channels, transform)


def channels_of(text: str) -> int:
    """How many channels the images of this network have."""
    return read_name(text).channels

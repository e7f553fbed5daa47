"""A network's name with the facts that its constructor needs and its weights do not hold: ``resnet18[channels=1]``.

Before them stands torchvision's name, ``timm:`` and timm's, or what makes it, ``package.module:factory``.
"""

import re
from dataclasses import dataclass
from typing import Literal

_WITH_FACTS = re.compile(r"([^\[\]]*)\[([^\[\]]*)\]")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_DIGEST = re.compile(r"[0-9a-f]{8}")
TIMM = "timm:"
"""What stands before the names of timm's networks."""

Kind = Literal["torchvision", "timm", "factory"]
TRANSFORMING = ("googlenet", "inception_v3")
"""The networks that may undo ImageNet's normalisation and apply their own, by ``transform_input``."""


@dataclass(frozen=True)
class ModelName:
    """A model's name, taken apart."""

    architecture: str  # the name without facts
    channels: int = 3
    transform_input: bool | None = None  # None: as torchvision's trained weights have it
    code: str = ""  # of a factory the first digits of the SHA-256 of what it runs

    @property
    def kind(self) -> Kind:
        """Who makes this network."""
        if self.architecture.startswith(TIMM):
            return "timm"
        return "factory" if is_factory(self.architecture) else "torchvision"

    def __str__(self) -> str:
        facts = [f"channels={self.channels}"] * (self.channels != 3)
        if self.transform_input is not None:
            facts.append(f"transform_input={'yes' if self.transform_input else 'no'}")
        facts += [f"code={self.code}"] * bool(self.code)
        return f"{self.architecture}[{','.join(facts)}]" if facts else self.architecture


def read_name(text: str) -> ModelName:
    """The parts of a name such as ``inception_v3[transform_input=no]``. Raises ValueError for an unknown fact."""
    match = _WITH_FACTS.fullmatch(text)
    if match is None:
        return ModelName(text)
    architecture, channels, transform, code = match[1], 3, None, ""
    for fact in match[2].split(","):
        key, _, value = (part.strip() for part in fact.partition("="))
        if key == "channels" and re.fullmatch(r"[1-9][0-9]{0,5}", value) and int(value) <= _most_channels(architecture):
            channels = int(value)
        elif key == "transform_input" and value in ("yes", "no") and architecture in TRANSFORMING:
            transform = value == "yes"
        elif key == "code" and _DIGEST.fullmatch(value) and is_factory(architecture):
            code = value
        else:
            raise ValueError(
                f"--model {text!r}: {fact.strip()!r} is no fact of {architecture}: there are channels=1 to "
                f"{_most_channels(architecture)}, and transform_input=yes or no of {' and '.join(TRANSFORMING)}"
            )
    return ModelName(architecture, channels, transform, code)


def _most_channels(architecture: str) -> int:
    """How many channels may be asked of a library's network; those of a factory's are as they are."""
    return 999_999 if is_factory(architecture) else 64


def is_factory(text: str) -> bool:
    """Whether this reads ``package.module:factory``, and is none of timm's names."""
    return _FACTORY.fullmatch(text) is not None and not text.startswith(TIMM)


def kind_of(text: str) -> Kind:
    """Who makes the network of this name, which facts may follow."""
    return read_name(text).kind


def told_name(text: str) -> str:
    """The name as a user gave it: of a factory without the digits of what it runs."""
    return read_name(text).architecture if is_factory(text.partition("[")[0]) else text


def own_code(text: str) -> str | None:
    """Whose code makes the network of this name, in words; None for torchvision's, which can be shipped as numbers."""
    return {"torchvision": None, "timm": "timm's", "factory": "the user's own"}[kind_of(text)]


def channels_of(text: str) -> int:
    """How many channels the images of this network have."""
    return read_name(text).channels

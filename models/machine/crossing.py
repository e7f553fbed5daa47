"""What workers tell of this machine's libraries."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isobatch.models.spec.plain import Plain


@dataclass(frozen=True)
class TorchSaid(Plain):
    """What torch says is in effect, its int8 engines, and the values of environment variables in a worker."""

    readback: Mapping[str, str]
    engines: tuple[str, ...]
    settings: Mapping[str, str | None]


@dataclass(frozen=True)
class DeviceSaid(Plain):
    """The facts of a device; or ``why`` none can be used, and the ``remedy``."""

    facts: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    remedy: str = ""

"""What ``check`` asks of the worker of one variant; what it answers is a ``records.VariantChecked``."""

from dataclasses import dataclass

from isobatch.pipeline.tools.check.asked import CheckRequest
from isobatch.pipeline.workers.wire import Crossing


@dataclass(frozen=True)
class VariantAsked(Crossing):
    """One variant of what was asked. ``cache``: its folder; ``folder``: that of the user's own code."""

    asked: CheckRequest
    variant: str
    cache: str
    folder: str

"""The networks of the table by their names, as a command line takes them: ``tests.planted.factories:one_ulp``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.planted.table import TABLE

_MADE = {truth.name.replace("-", "_"): truth.network for truth in TABLE}


def __getattr__(name: str) -> Callable[[], Any]:
    if name not in _MADE:
        raise AttributeError(name)
    return _MADE[name]

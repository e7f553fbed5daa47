"""Waiting in tests: for an event, and for so long that only something that hangs can take longer, on any machine."""

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
ENDS_S = 600.0
"""No process of a test takes this long, however busy its machine is."""


def until(true: Callable[[], T], running: subprocess.Popen[Any] | None = None) -> T:
    """What ``true`` returns as soon as it holds. ``running``: the process that is to bring it about."""
    given_up = time.monotonic() + ENDS_S
    while not (value := true()):
        ended = running is not None and running.poll() is not None
        assert not ended or true(), "the process ended before that"
        assert time.monotonic() < given_up, f"waited for {ENDS_S:.0f} s"
        time.sleep(0.02)
    return value

"""What a signal that ends this process raises, and the memory of it: a library may swallow what is raised inside it.

``from numpy import *`` inside an import does, without a word; whoever waits for workers asks here, again and again.
"""

import signal
from types import FrameType
from typing import NoReturn

LOOK_S = 0.5
"""Seconds at most between two questions of whoever waits. A wait may miss a signal that comes as it begins, too."""

_raised: type[BaseException] | None = None


class Interrupted(KeyboardInterrupt):
    """SIGINT arrived.

    A class of its own, because Python kills itself by the signal at its end, whatever code it was told to end with,
    if a bare KeyboardInterrupt has left a text given to ``exec``; the import of every dataclass runs such a text.
    """


class Terminated(BaseException):
    """SIGTERM arrived."""


def listen() -> None:
    """From here on SIGINT raises Interrupted, unless the caller has it ignored or handles it; SIGTERM Terminated."""
    global _raised
    _raised = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def look() -> None:
    """Raise again what a signal has raised before, as the process is still here."""
    if _raised is not None:
        raise _raised


def ignore() -> None:
    """From here on the process is ending: who is impatient and asks twice does not stop that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    global _raised
    _raised = Interrupted if number == signal.SIGINT else Terminated
    raise _raised

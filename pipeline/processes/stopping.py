"""What a signal that ends this process raises, and the memory of it: a library may swallow what is raised inside it.

``from numpy import *`` inside an import does, without a word; whoever waits for workers asks here, again and again.
"""

import signal
import time
from types import FrameType

LOOK_S = 0.5
"""Seconds at most between two questions of whoever waits. A wait may miss a signal that comes as it begins, too."""

_UNWINDING_S = 2.0
"""Seconds after a signal in which another one asks for nothing new: what tidies up must not be stopped half-way."""

_raised: type[BaseException] | None = None
_since = 0.0


class Interrupted(KeyboardInterrupt):
    """SIGINT arrived.

    A class of its own, because Python kills itself by the signal at its end, whatever code it was told to end with,
    if a bare KeyboardInterrupt has left a text given to ``exec``; the import of every dataclass runs such a text.
    """


class Terminated(BaseException):
    """SIGTERM arrived."""


def listen() -> None:
    """From here on SIGINT raises Interrupted, unless the caller has it ignored or handles it; SIGTERM Terminated.

    What is inherited from a caller who blocks signals, or ignores the ends of his children, would hide them here.
    """
    global _raised
    _raised = None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def look(after: Exception | None = None) -> None:
    """Raise again what a signal has raised before, as the process is still here; with the notes of an error since."""
    if _raised is not None:
        stop = _raised()
        for note in getattr(after, "__notes__", ()):
            stop.add_note(note)
        raise stop


def ignore() -> None:
    """From here on the process is ending: who is impatient and asks twice does not stop that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    global _raised, _since
    if _raised is not None and time.monotonic() < _since + _UNWINDING_S:
        return
    _since = time.monotonic()
    _raised = Interrupted if number == signal.SIGINT else Terminated
    raise _raised

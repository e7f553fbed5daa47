"""What a signal that ends this process raises, and the memory of it: a library may swallow what is raised inside it.

``from numpy import *`` inside an import does, without a word; whoever waits for workers asks here, again and again.
"""

import signal
import sys
from types import FrameType

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
    """From here on SIGINT raises Interrupted, unless the caller has it ignored or handles it; SIGTERM Terminated.

    What is inherited from a caller who blocks signals, or ignores the ends of his children, would hide them here.
    """
    global _raised
    _raised = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD))  # one may be waiting


def look(after: Exception | None = None) -> None:
    """Raise again what a signal has raised before, as the process is still here; with the notes of an error since."""
    if _raised is not None:
        stop = _raised()
        for note in getattr(after, "__notes__", ()):
            stop.add_note(note)
        raise stop


def ignore() -> None:
    """From here on the process is ending: who is impatient and asks twice does not stop that."""
    global _raised
    _raised = None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    global _raised
    if not _unwinding():  # what tidies up must not be stopped half-way
        _raised = Interrupted if number == signal.SIGINT else Terminated
        raise _raised


def _unwinding() -> bool:
    """Whether what runs now runs because an earlier signal is on its way out."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted | Terminated):
        error = error.__context__
    return error is not None

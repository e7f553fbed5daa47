"""A limit for what runs in Python in this process and may not end by itself."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class TimeLimit(BaseException):
    """The time is over. No ``Exception``: what runs would take it for one of its own, and go on."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimit inside the block after so many seconds of computing; native code is interrupted when it returns.

    Counted is this process's own time on the processor: what else a machine does must not decide what is made here.
    Signals reach the main thread only: in another one there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    running = True

    def over(number: int, frame: FrameType | None) -> None:
        if running:
            raise TimeLimit(f"not done after {seconds:g} s of computing")

    before = signal.signal(signal.SIGVTALRM, over)
    try:  # from here on, as a busy machine may let the time be over before the block begins
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)  # again each second, should a callback have swallowed it
        yield
    finally:
        running = False  # nothing is raised while the alarm is turned off
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)

"""Whether other programs took time from a call: how long its threads waited for a core, and what the host took.

``/proc/self/task/*/schedstat`` counts in nanoseconds how long a thread was ready to run and did not (the kernel's
Documentation/scheduler/sched-stats). ``/proc/stat`` counts stolen time in ticks of 10 ms: too coarse for one call, good
enough for a round of them.
"""

import os
from collections.abc import Mapping
from pathlib import Path

LIMIT = 0.05
"""The share of a call that its threads may have waited, all together, before the call counts as disturbed."""

UNSTEADY = 0.30
"""The share of disturbed rounds above which times are called unsteady."""

Waits = Mapping[str, int]
"""By thread: nanoseconds it has waited for a core since it began."""


def waits() -> Waits | None:
    """The waits of this process's threads so far; None where the kernel does not tell."""
    waited = {}
    try:
        for thread in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
                    waited[thread] = int(file.read().split()[1])
            except FileNotFoundError:
                continue  # it ended meanwhile
    except (OSError, IndexError, ValueError):
        return None
    return waited or None


def waited_s(before: Waits | None, after: Waits | None) -> float | None:
    """Seconds that all threads together waited between two looks; a thread that is new waited all of its time then."""
    if before is None or after is None:
        return None
    return sum(now - before.get(thread, 0) for thread, now in after.items()) / 1e9


def is_disturbed(waited: float | None, call_s: float) -> bool:
    """Whether a call of ``call_s`` seconds waited for more than ``LIMIT`` of it; False where that is not known."""
    return waited is not None and waited > LIMIT * call_s


def stolen_ticks(text: str | None = None) -> int | None:
    """Ticks that the host took from this machine's processors since it started; None where the kernel does not tell.

    ``text``: the content of ``/proc/stat``, where it has been read.
    """
    try:
        first = (Path("/proc/stat").read_text() if text is None else text).split("\n", 1)[0].split()
        return int(first[8])
    except (OSError, IndexError, ValueError):
        return None

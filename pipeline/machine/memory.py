"""Peak memory of a process tree, shared pages counted once (the kernel's proportional set size); limits of one."""

import contextlib
import ctypes
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

_PERIOD_S = 0.5
_SELDOM_S = 10.0
UNTRUSTED_BYTES = 8 << 30
"""Memory, libraries included, of a worker that reads files from outside: a picture of 64 million pixels fits."""

_VALUE_BYTES = 2 << 10  # of an input


class PeakMemory:
    """Samples this process and its descendants twice a second while entered. ``peak_bytes`` is None off Linux."""

    def __init__(self) -> None:
        self.peak_bytes: int | None = None
        self._by_hand = False
        self._sampled = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            if not self._by_hand:
                self.sample()
            if self._stop.wait(_PERIOD_S):
                return

    @contextlib.contextmanager
    def by_hand(self) -> Iterator[Callable[[], None]]:
        """Within it nothing is sampled but by calling what it gives, which does so every ten seconds at most.

        Adding up the pages of a gigabyte takes a core for a tenth of a second: it would disturb whatever is timed.
        """
        self._by_hand, self._sampled = True, -_SELDOM_S
        try:
            yield self._sample_seldom
        finally:
            self._by_hand = False

    def _sample_seldom(self) -> None:
        if time.monotonic() - self._sampled >= _SELDOM_S:
            self._sampled = time.monotonic()
            self.sample()

    def sample(self) -> None:
        """Look once how much memory there is."""
        now = tree_bytes(os.getpid())
        if now:
            self.peak_bytes = max(now, self.peak_bytes or 0)


def limit_memory(files: int = 0) -> None:
    """Let this process have no more than ``UNTRUSTED_BYTES``, and eight times the bytes of the ``files`` it reads.

    A small file that unfolds into a huge one then ends in a MemoryError here, not in the kernel's kill of whatever is
    largest. Copies while reading and checking take a few times a file. What can be written is counted, not what is
    mapped: that remains fair where a library starts a thread for each core, and an array of any size may be mapped.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = UNTRUSTED_BYTES + 8 * files
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def limit_graph(files: int, values: int) -> None:
    """Let this process have no more memory than a network from outside needs, and what it makes of so many values.

    ``files``: bytes of its files; ``values``: of all examples that it is given at once. ResNet50 keeps some 300 bytes a
    value of its images where every layer's output is looked at; nearly seven times that is allowed.
    """
    limit_memory(files + values * _VALUE_BYTES // 8)


def release_free() -> None:
    """Give memory that is free inside this process back to the system, where the C library can (glibc's malloc_trim).

    Workers keep freed memory, as fresh pages cost time on every call. Where one layer or network is run at many N, each
    of them leaves holes too small for the next, and what is kept grows to many times what is used.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def tree_bytes(pid: int) -> int:
    """Proportional set size, in bytes, of a process and its descendants; 0 where the kernel does not tell."""
    own = kernel_bytes(f"/proc/{pid}/smaps_rollup", "Pss:")
    try:
        tasks = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # it ended meanwhile, or this is not Linux
        return 0
    return 0 if own is None else own + sum(tree_bytes(int(child)) for text in tasks for child in text.split())


def peak_memory_bytes() -> int:
    """The largest resident set of this process so far, libraries included; 0 where the kernel does not tell."""
    return kernel_bytes("/proc/self/status", "VmHWM") or 0


def kernel_bytes(file: str, name: str) -> int | None:
    """The figure of this name in one of the kernel's own files; None where it does not tell."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)

"""Peak memory of a whole process tree, shared pages counted once (the kernel's proportional set size)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_PERIOD_S = 0.5


class PeakMemory:
    """Samples this process and its descendants twice a second while entered. ``peak_bytes`` is None off Linux."""

    def __init__(self) -> None:
        self.peak_bytes: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            now = tree_bytes(os.getpid())
            if now:
                self.peak_bytes = max(now, self.peak_bytes or 0)
            if self._stop.wait(_PERIOD_S):
                return


def tree_bytes(pid: int) -> int:
    """Proportional set size, in bytes, of a process and its descendants; 0 where the kernel does not tell."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it ended meanwhile, or this is not Linux
        return 0
    own = next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(tree_bytes(child) for child in children)

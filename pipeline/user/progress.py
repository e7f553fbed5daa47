"""What is being done, told on stderr: to those who wait, at once or after a while."""

import sys
import time

_PATIENCE_S, _LINES_S = 2.0, 10.0


class ProgressLine:
    """Call it with what begins now. On a terminal one line is written over; elsewhere a line every ten seconds.

    Nothing is told in the first ``patience_s``.
    """

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._begin = time.monotonic()
        self._speaks = self._begin + patience_s
        self._told = self._speaks - _LINES_S
        self._width = 0

    def __call__(self, text: str) -> None:
        """Say so, if it is time to."""
        now = time.monotonic()
        line = f"isobatch: {text} ({now - self._begin:.0f} s)"
        if now < self._speaks:
            return
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        elif now - self._told >= _LINES_S:
            self._told = now
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line empty."""
        if self._width:
            sys.stderr.write(f"\r{'':<{self._width}}\r")
            sys.stderr.flush()

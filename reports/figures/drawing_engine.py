"""The engine that draws, at arm's length: where it dies, one picture is missing and the report is written."""

import atexit
import base64
import contextlib
import json
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from isobatch import PROGRAM

_SCRIPT = Path(__file__).with_name("draw_apart.py")
_MOST_DEATHS = 2  # one after the other: then it is not started again
_SILENT_S = 300.0


class DrawingError(Exception):
    """A picture could not be drawn. The text says why and what to do, in one line."""


class Engine:
    """A process that draws, started with the first order and kept. Orders come from any thread, one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._deaths = 0
        self._said = ""

    def make(self, order: dict[str, Any]) -> bytes:
        """The drawing that this order asks for (see ``draw_apart``). Raises DrawingError."""
        with self._lock:
            if self._deaths >= _MOST_DEATHS:
                raise DrawingError(self._said)
            try:
                answer = self._asked(order)
            except (OSError, ValueError) as error:  # it cannot start, or it died in the middle of an order or answer
                self._lost(error)
                raise DrawingError(self._said) from error
            self._deaths = 0
        if "error" in answer:
            raise DrawingError(f"the drawing engine refuses it: {answer['error']}")
        return base64.b64decode(answer["made"])

    def _asked(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is the parent's to hear
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(_SILENT_S, process.kill)
        late.daemon = True
        late.start()
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())  # of nothing, where it died: ValueError
        finally:
            late.cancel()
        return answer

    def _lost(self, error: Exception) -> None:
        code = self.close()
        end = f"{type(error).__name__}: {error}" if code is None else f"ended with code {code}"
        if code is not None and code < 0:
            end = f"was ended by {signal.Signals(-code).name}"
        self._deaths += 1
        self._said = (
            f"the drawing engine {end}; most often a limit of memory or address space is too low for it: raise the "
            f"limit (ulimit -v) and draw again with {PROGRAM} render RUN"
        )

    def close(self) -> int | None:
        """End the process; its exit code, None where there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # it died with an order unread
            process.stdin.close()
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        process.stdout.close()
        return code


@cache
def engine() -> Engine:
    """The engine of this process; it ends with it."""
    started = Engine()
    atexit.register(started.close)
    return started

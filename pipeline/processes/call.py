"""One call in a worker: what is heard of it, how long it may be silent, and what it gives in the end."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isobatch.models.shared.regular_files import Altered
from isobatch.pipeline.records.errors import NO_ROOM, UNANSWERED, EngineError, StoreError
from isobatch.pipeline.records.errors import WorkerError as WorkerError  # with the functions that raise it
from isobatch.pipeline.storage.files import read_json

_START_S = 300.0
OnEvent = Callable[[Any], None]


@dataclass(eq=False)
class WorkerCall:
    """One call in a worker, from its start to its result."""

    name: str
    folder: Path  # of its launcher
    timeout_s: float
    on_event: OnEvent
    _pid: int | None = None
    _exit: dict[str, Any] | None = None
    _error: WorkerError | EngineError | None = None

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + max(self.timeout_s, _START_S)  # libraries load before the first worker
        self.reply, self.log = (self.folder / f"{self.name}.{kind}" for kind in ("json", "log"))

    @property
    def ended(self) -> bool:
        """Whether it has a result, or never will."""
        return self._exit is not None or self._error is not None

    def tell(self, event: dict[str, Any]) -> None:
        """Take one line of the launcher about this call: its worker started, said something, or ended."""
        self._pid = event.get("pid", self._pid)
        self.deadline = time.monotonic() + self.timeout_s
        if "exit" in event:
            self._exit = event
        elif "event" in event:
            self.on_event(event["event"])

    def give_up(self) -> None:
        """End a worker that has been silent for too long."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):  # it ended this moment
                os.killpg(self._pid, signal.SIGKILL)
        text = f"its worker was silent for {self.timeout_s:g} s and was ended"
        self._error = WorkerError(text, "timeout", "give it more: --timeout S")

    def lose(self, error: WorkerError | EngineError) -> None:
        """Its launcher is gone, and with it the worker."""
        self._error = error

    def result(self) -> Any:
        """The JSON-ready result of a call that has ended.

        Raises WorkerError; StoreError where the worker could not write or its files were altered, EngineError where its
        launcher was killed: neither says anything about this call.
        """
        if self._error is not None:
            raise self._error
        assert self._exit is not None
        if self._exit["signal"]:
            what = signal.Signals(self._exit["signal"]).name
            text = f"its worker was ended by {what}{_MEANING.get(what, '')}"
            raise WorkerError(text, "crash", trace=tail(self.log))
        if self._exit["exit"] == UNANSWERED:
            where = f"the temporary folder {self.folder.parent.parent} takes no more files"
            raise StoreError(f"{where}. Free space there and run again, or set TMPDIR to a folder that has some")
        if self._exit["exit"] or not self.reply.is_file():
            said = tail(self.log)
            raise WorkerError(f"its worker ended with code {self._exit['exit']}: {said}", "crash", trace=said)
        answer = read_json(self.reply)
        if error := answer.get("error"):
            if error["type"] in (StoreError.__name__, Altered.__name__):
                raise StoreError(error["text"])
            if error["errno"] in NO_ROOM:
                raise StoreError(f"{error['text']}. Free space and run again, or set --out, XDG_CACHE_HOME or TMPDIR")
            reason = error["reason"] or " ".join(error["text"].split()) or error["type"]
            raise WorkerError(reason, error["type"], error["remedy"], error["trace"], error["code"])
        return answer["result"]


_MEANING = {"SIGKILL": " (often the kernel's answer to too little memory)", "SIGSEGV": " (a fault in native code)"}


def tail(log: Path) -> str:
    """The last line of a log, for a reason of one line."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else "it printed nothing"

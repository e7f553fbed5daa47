"""Calls in isolated workers: a crash, a hang or a missing library of one is an answer, and the others go on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.store import StoreError, read_json

PRELOAD = "models.preload"
_START_S = 300.0
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_ROOT = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A call in a worker did not give a result. ``reason`` is one line; ``trace`` what the worker printed last."""

    def __init__(
        self, reason: str, kind: str = "", remedy: str | None = None, trace: str = "", code: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind  # the exception's class name, "crash", "timeout" or "launcher" (no worker can start)
        self.remedy = remedy
        self.trace = trace
        self.code = code


@dataclass
class Launcher:
    """One launcher process with its environment. Started at once, so that libraries load while the parent plans."""

    environment: Mapping[str, str]
    folder: Path
    _events: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)
    _calls: int = 0

    def __post_init__(self) -> None:
        self._log = open(self.folder / "launcher.log", "ab")  # noqa: SIM115 (closed with the launcher)
        self.process = subprocess.Popen(
            [sys.executable, *(["-O"] if sys.flags.optimize else []), "-m", "pipeline.launcher", PRELOAD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=_ROOT,
            env={**os.environ, **self.environment},
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends the workers in order
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self.process.stdout:
                self._events.put(json.loads(line))
        self._events.put(None)

    def call(
        self, function: str, payload: Any, timeout_s: float, on_event: Callable[[Any], None] = lambda event: None
    ) -> Any:
        """The JSON-ready result of ``function(payload, emit)`` in a fresh worker.

        Raises WorkerError; StoreError where the worker could not write: the disk is everybody's, not this call's.
        """
        self._calls += 1
        name = f"{self._calls:04d}"
        reply, log = self.folder / f"{name}.json", self.folder / f"{name}.log"
        files = {"folder": os.getcwd(), "reply": str(reply), "log": str(log)}
        request = {"id": name, "call": function, "payload": payload, **files}
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            said = _tail(self.folder / "launcher.log")
            raise WorkerError(f"the launcher could not start: {said}", "launcher") from None
        ended = self._follow(name, timeout_s, on_event)
        if ended["signal"]:
            what = signal.Signals(ended["signal"]).name
            raise WorkerError(f"its worker was ended by {what}{_MEANING.get(what, '')}", "crash", trace=_tail(log))
        if ended["exit"] or not reply.is_file():
            raise WorkerError(f"its worker ended with code {ended['exit']}: {_tail(log)}", "crash", trace=_tail(log))
        answer = read_json(reply)
        if error := answer.get("error"):
            if error["type"] == StoreError.__name__:
                raise StoreError(error["text"])
            if error["errno"] in _DISK:
                raise StoreError(f"{error['text']}. Free space and run again, or set --out or XDG_CACHE_HOME")
            reason = error["reason"] or " ".join(error["text"].split()) or error["type"]
            raise WorkerError(reason, error["type"], error["remedy"], error["trace"], error["code"])
        return answer["result"]

    def _follow(self, name: str, timeout_s: float, on_event: Callable[[Any], None]) -> dict[str, Any]:
        """Pass on what the worker emits until it ends. A worker silent for ``timeout_s`` seconds is ended."""
        pid, deadline = None, time.monotonic() + max(timeout_s, _START_S)  # libraries load before the first worker
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                if pid:
                    with contextlib.suppress(ProcessLookupError):  # it ended this moment
                        os.killpg(pid, signal.SIGKILL)
                raise WorkerError(
                    f"its worker was silent for {timeout_s:g} s and was ended", "timeout", "give it more: --timeout S"
                ) from None
            if event is None:
                self._events.put(None)  # for a call that comes before the end of the process is seen
                raise WorkerError(f"the launcher ended: {_tail(self.folder / 'launcher.log')}", "launcher")
            if event["id"] != name:
                continue  # the end of a worker that was given up
            pid = event.get("pid", pid)
            if "exit" in event:
                return event
            deadline = time.monotonic() + timeout_s
            if "event" in event:
                on_event(event["event"])

    def close(self) -> None:
        """End the launcher and its workers."""
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._listener.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


_MEANING = {"SIGKILL": " (often the kernel's answer to too little memory)", "SIGSEGV": " (a fault in native code)"}


def _tail(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:300] if lines else "it printed nothing"


_PREFIX, _LOCK = "isobatch-", ".lock"


def _sweep() -> None:
    """Remove the scratch folders of studies that were killed; that of a living one is locked, and stays."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), open(lock, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


class Workers:
    """All launchers of a study, one per distinct environment. A context manager; nothing survives it."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._launchers: dict[tuple[tuple[str, str], ...], Launcher] = {}
        _sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._lock = open(Path(self._folder.name, _LOCK), "w")  # noqa: SIM115 (held as long as the folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for launcher in self._launchers.values():
            launcher.close()
        self._folder.cleanup()
        self._lock.close()

    def launcher(self, environment: Mapping[str, str]) -> Launcher:
        """The launcher of this environment, started on first use and anew if it died."""
        key = tuple(sorted(environment.items()))
        found = self._launchers.get(key)
        if found is None or found.process.poll() is not None:
            if found is not None:
                found.close()
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            found = self._launchers[key] = Launcher(environment, folder)
        return found

    def call(
        self,
        environment: Mapping[str, str],
        function: str,
        payload: Any,
        on_event: Callable[[Any], None] = lambda event: None,
    ) -> Any:
        """``Launcher.call`` in the launcher of this environment, with the study's time limit."""
        return self.launcher(environment).call(function, payload, self.timeout_s, on_event)

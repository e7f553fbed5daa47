"""Calls in isolated workers: a crash, a hang or a missing library of one is an answer, and the others go on."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

import isobatch
from isobatch.models.shared.scratch import Scratch
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.processes.call import OnEvent, WorkerCall, tail
from isobatch.pipeline.processes.call import WorkerError as WorkerError  # with the functions that raise it
from isobatch.pipeline.records.errors import EngineError

PRELOAD = "isobatch.models.machine.preload"
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_HOME = Path(isobatch.__file__).resolve().parent.parent


@dataclass(eq=False)
class Launcher:
    """One launcher process with its environment. Started at once, so that libraries load while the parent plans."""

    environment: Mapping[str, str]
    folder: Path
    events: queue.SimpleQueue[tuple[Launcher, dict[str, Any] | None]]  # of all launchers; None: this one has ended
    ended: bool = False
    _calls: int = 0

    def __post_init__(self) -> None:
        self._log = open(self.folder / "launcher.log", "ab")  # noqa: SIM115 (closed with the launcher)
        self.process = subprocess.Popen(
            [
                sys.executable,
                *(["-O"] if sys.flags.optimize else []),
                "-m",
                "isobatch.pipeline.processes.launcher",
                PRELOAD,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=_HOME,
            # what a library of a worker that is killed leaves lies in the scratch folder, and goes with it
            env={**os.environ, **self.environment, "TMPDIR": str(self.folder)},
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends the workers in order
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError, OSError), self.process.stdout as lines:
            for line in lines:
                self.events.put((self, json.loads(line)))
        self.events.put((self, None))

    def begin(self, function: str, payload: Any, timeout_s: float, on_event: OnEvent) -> WorkerCall:
        """Ask for ``function(payload, emit)`` in a fresh worker.

        Raises WorkerError where nobody listens, EngineError where somebody has killed the launcher.
        """
        self._calls += 1
        call = WorkerCall(f"{self._calls:04d}", self.folder, timeout_s, on_event)
        files = {"folder": os.getcwd(), "reply": str(call.reply), "log": str(call.log)}
        request = {"id": call.name, "call": function, "payload": payload, **files}
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.lost() from None
        return call

    def lost(self) -> WorkerError | EngineError:
        """What its end means: by a signal from outside, nothing for the variants that it served."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (number := -self.process.wait(5)) in _FROM_OUTSIDE:
                return EngineError(f"the process that starts workers was ended by {signal.Signals(number).name}")
        return WorkerError(f"the launcher ended: {tail(self.folder / 'launcher.log')}", "launcher")

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
        self._listener.join(5)  # it goes on where a process that left the group of its worker has the pipe
        self._log.close()


@contextlib.contextmanager
def _undisturbed() -> Iterator[list[int]]:
    """No signal to end stops the ending itself, which takes seconds at most; gives those that came meanwhile.

    Signals reach the main thread only.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class Workers:
    """All launchers of a study, one per distinct environment, and the calls that run in them.

    A context manager; nothing survives it. Everything it passes on, it passes on in the caller's own thread.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._launchers: dict[tuple[tuple[str, str], ...], Launcher] = {}
        self._events: queue.SimpleQueue[tuple[Launcher, dict[str, Any] | None]] = queue.SimpleQueue()
        self._open: dict[tuple[Launcher, str], WorkerCall] = {}
        self._scratch = Scratch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with _undisturbed() as heard:
            for launcher in self._launchers.values():
                launcher.close()
            self._scratch.remove()
        if kind is None or issubclass(kind, Exception):  # else a signal ends the caller already
            for number in dict.fromkeys(heard):
                signal.raise_signal(number)
            stopping.look()

    def launcher(self, environment: Mapping[str, str]) -> Launcher:
        """The launcher of this environment, started on first use and anew if it died."""
        key = tuple(sorted(environment.items()))
        launcher = self._launchers.get(key)
        if launcher is None or launcher.ended or launcher.process.poll() is not None:
            if launcher is not None:
                launcher.close()
            folder = Path(tempfile.mkdtemp(dir=self._scratch.path))
            launcher = self._launchers[key] = Launcher(environment, folder, self._events)
        return launcher

    def begin(
        self,
        environment: Mapping[str, str],
        function: str,
        payload: Any,
        on_event: OnEvent = lambda event: None,
        timeout_s: float | None = None,
    ) -> WorkerCall:
        """Start a call in the launcher of this environment. Raises WorkerError.

        ``timeout_s``: how long it may be silent, in place of the study's own limit.
        """
        launcher = self.launcher(environment)
        call = launcher.begin(function, payload, timeout_s or self.timeout_s, on_event)
        self._open[launcher, call.name] = call
        return call

    def wait(self, calls: Sequence[WorkerCall]) -> WorkerCall:
        """The first of these calls to end. Meanwhile what any worker emits is passed on, and silent ones are ended."""
        while True:
            if ended := next((call for call in calls if call.ended), None):
                return ended
            stopping.look()
            left_s = min(call.deadline for call in self._open.values()) - time.monotonic()
            try:
                launcher, event = self._events.get(timeout=max(0.0, min(left_s, stopping.LOOK_S)))
            except queue.Empty:
                for call in self._open.values():
                    if call.deadline <= time.monotonic():
                        call.give_up()
            else:
                self._hear(launcher, event)
            self._open = {key: call for key, call in self._open.items() if not call.ended}

    def poll(self) -> None:
        """Pass on what workers have said so far, without waiting for more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._hear(*self._events.get_nowait())
        self._open = {key: call for key, call in self._open.items() if not call.ended}

    def _hear(self, launcher: Launcher, event: dict[str, Any] | None) -> None:
        if event is None:
            launcher.ended = True
            for (home, _), call in self._open.items():
                if home is launcher:
                    call.lose(launcher.lost())
            return
        if (launcher, event["id"]) in self._open:  # else the end of a worker that was given up
            self._open[launcher, event["id"]].tell(event)

    def call(
        self, environment: Mapping[str, str], function: str, payload: Any, on_event: OnEvent = lambda event: None
    ) -> Any:
        """The JSON-ready result of ``function(payload, emit)`` in a fresh worker. Raises as its ``result`` does."""
        return self.wait([self.begin(environment, function, payload, on_event)]).result()

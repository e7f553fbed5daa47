"""One contestant of the race: a long-lived call in a worker of its own, stopped unless it is its turn."""

import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from isobatch.pipeline.processes import stopping
from isobatch.pipeline.processes.call import WorkerCall
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.race.crossing import Listening, Ready, Turn, TurnAsked, near

SILENCE_S = 86_400.0  # a stopped contestant says nothing for as long as the race lasts
_POLL_S = 0.2
_ENDING_S = 10.0  # from hanging up to the end of the process
CONTEST = "isobatch.pipeline.race.in_worker:contest"


class Missed(Exception):
    """A contestant did not answer within the limit of its turn."""


class LiveContestant:
    """A context manager around the worker. It is stopped (SIGSTOP to its process group) except in ``turn``.

    ``start`` raises WorkerError where it cannot be opened; ``turn`` raises it where the worker has ended, and Missed
    where it is late.
    """

    def __init__(
        self, workers: Workers, environment: Mapping[str, str], payload: Mapping[str, Any], function: str = CONTEST
    ) -> None:
        self.load_s = 0.0
        self.pid: int | None = None
        self._function = function
        self._workers, self._environment, self._payload = workers, environment, payload
        self._call: WorkerCall | None = None
        self._line: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, limit_s: float) -> None:
        """Open the contestant, within ``limit_s`` seconds, and stop it."""
        self.end()
        folder = self._workers.launcher(self._environment).folder
        with tempfile.TemporaryDirectory(dir=folder) as place, socket.socket(socket.AF_UNIX) as listener:
            path = Path(place) / "race"
            with near(path) as short:
                listener.bind(short)
            listener.listen(1)
            payload = {**self._payload, **Listening(str(path)).to_json()}
            self._call = self._workers.begin(self._environment, self._function, payload, timeout_s=SILENCE_S)
            deadline = time.monotonic() + limit_s
            self._line = self._accepted(listener, deadline)
            ready = Ready.of(self._answer(deadline))
        self.pid, self.load_s = ready.pid, ready.load_s
        self._signal(signal.SIGSTOP)

    def turn(self, n: int, limit_s: float, calls: int = 1) -> Turn:
        """One untimed call of ``n`` images, then the timed ones, while it alone of all contestants runs."""
        assert self._line is not None
        stopping.look()
        deadline = time.monotonic() + limit_s
        self._signal(signal.SIGCONT)
        try:
            self._line.send_bytes(json.dumps(TurnAsked(n, calls).to_json()).encode())
            said = self._answer(deadline)
        except ConnectionError:
            raise self._why() from None
        finally:
            self._signal(signal.SIGSTOP)
        return Turn.of(said)

    def end(self) -> None:
        """End the worker, if there is one."""
        if self._line is not None:
            self._line.close()
        if self._call is not None:
            self._workers.poll()  # so that its process is known
        if self._call is not None and not self._call.ended:
            self._call.give_up()  # killed, not asked: it may be stopped, or hang
        self._signal(signal.SIGKILL)
        self._line, self._call, self.pid = None, None, None

    def _accepted(self, listener: socket.socket, deadline: float) -> Connection:
        listener.settimeout(_POLL_S)
        while True:
            with contextlib.suppress(TimeoutError):
                return Connection(listener.accept()[0].detach())
            self._check(deadline)

    def _answer(self, deadline: float) -> Any:
        """What the worker says next. Raises WorkerError where it has ended, Missed after ``deadline``."""
        assert self._line is not None
        while not self._line.poll(max(0.001, min(_POLL_S, deadline - time.monotonic()))):
            self._check(deadline)
        try:
            return json.loads(self._line.recv_bytes())
        except (EOFError, OSError):  # before a message, or inside one
            raise self._why() from None

    def _check(self, deadline: float) -> None:
        assert self._call is not None
        stopping.look()
        self._workers.poll()
        if self._call.ended:
            raise self._why()
        if time.monotonic() > deadline:
            raise Missed

    def _why(self) -> WorkerError:
        """Why the worker ended, as its launcher tells."""
        assert self._call is not None
        end = time.monotonic() + _ENDING_S
        while not self._call.ended and time.monotonic() < end:
            self._workers.poll()
            time.sleep(_POLL_S / 10)
        try:
            if self._call.ended:
                self._call.result()
        except WorkerError as error:
            return error
        return WorkerError("its worker hung up before the race was over", "crash")

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

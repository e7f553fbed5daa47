"""A process that loads the heavy libraries once and forks a worker for each request.

It is started as ``python -m isobatch.pipeline.processes.launcher``.

Settings that act only before libraries load (allocator, thread pools, ISA caps) are this process's environment, so one
launcher serves one environment. It must never run a parallel operation itself: its forked children would hang.

Requests come as JSON lines on stdin: ``{"id", "call": "module:function", "payload", "folder", "reply", "log"}``. The
worker calls ``function(payload, emit)`` in ``folder``; what it returns or raises goes to the file ``reply``. Lines on
stdout: ``{"id", "pid"}`` when started, whatever the worker emits, ``{"id", "exit", "signal"}`` when it ended.
"""

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from isobatch.pipeline.records.errors import NO_ROOM, UNANSWERED

_PR_SET_PDEATHSIG = 1


def say(line: dict[str, Any]) -> None:
    """Write one line to the parent, whole (shorter than PIPE_BUF, so workers' lines never mix)."""
    os.write(_EVENTS, json.dumps(line).encode() + b"\n")


_EVENTS = 1


def work(request: dict[str, Any]) -> None:
    """Serve one request in a forked worker, then end it without running the launcher's exit handlers."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # no worker outlives its launcher
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        global _EVENTS
        _EVENTS = os.dup(1)
        os.chdir(request["folder"])  # a relative path means there what it means to the caller
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)  # libraries print; the parent's line protocol must stay clean
        os.dup2(log, 2)
        reply = _call(request)
        Path(request["reply"]).write_text(json.dumps(reply))
        status = 0
    except OSError as error:  # of its log or its answer
        traceback.print_exc()
        status = UNANSWERED if error.errno in NO_ROOM else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _call(request: dict[str, Any]) -> dict[str, Any]:
    module, _, function = request["call"].partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
        return {"result": call(request["payload"], lambda event: say({"id": request["id"], "event": event}))}
    except Exception as error:
        traceback.print_exc()
        fields = {name: getattr(error, name, None) for name in ("reason", "remedy", "code", "errno")}
        return {"error": {"type": type(error).__name__, "text": str(error), "trace": traceback.format_exc(), **fields}}


def main() -> int:
    """Serve until stdin closes; then end every worker and return 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # its caller may block the signal that a worker has ended
    importlib.import_module(sys.argv[1])
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    workers: dict[int, str] = {}
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    pending = b""
    while True:
        for key, _ in selector.select():
            if key.fd == wake_read:
                os.read(wake_read, 4096)
                _reap(workers)
                continue
            chunk = os.read(0, 1 << 16)
            if not chunk:
                _end(workers)
                return 0
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                if (pid := os.fork()) == 0:
                    work(request)
                workers[pid] = request["id"]
                say({"id": request["id"], "pid": pid})


def _end(workers: dict[int, str]) -> None:
    """Kill every worker and wait until it is gone: taking down a gigabyte lasts longer than this process would."""
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it had not come so far as to have a group
            os.killpg(pid, signal.SIGKILL)  # with a compiler that it may have started
    for pid in workers:
        os.waitpid(pid, 0)


def _reap(workers: dict[int, str]) -> None:
    for pid in list(workers):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            say({"id": workers.pop(pid), "exit": max(code, 0), "signal": -min(code, 0)})


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # to take the runtimes down tidily takes half a second, and nothing is left to be tidied

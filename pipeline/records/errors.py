"""Errors the user can act on, with stable codes, and the exit codes of the contract."""

import errno
from enum import IntEnum


class Exit(IntEnum):
    """What the process says to its caller. Precedence: USAGE, TOOL, NOT_MET, PARTIAL, DONE."""

    DONE = 0
    NOT_MET = 1
    USAGE = 2
    PARTIAL = 3
    TOOL = 4
    INTERRUPTED = 130
    TERMINATED = 143


MEANING = {
    Exit.DONE: "done, policy met",
    Exit.NOT_MET: "done, policy not met",
    Exit.USAGE: "usage or shared-input error: nothing was measured",
    Exit.PARTIAL: "done in part: something named was unavailable, failed, skipped or could not be checked",
    Exit.TOOL: "the tool itself failed",
    Exit.INTERRUPTED: "interrupted: given again, a study goes on where it stopped",
    Exit.TERMINATED: "terminated: given again, a study goes on where it stopped",
}


class UsageError(Exception):
    """Input that all variants share is unusable. ``code`` is stable; the text says what, why and what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class EngineError(Exception):
    """The machines that a study runs on are gone. The run stays unfinished: the same command goes on."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the system answers where a disk is full, a quota is used up, or nothing may be written."""


UNANSWERED = 74
"""What a worker ends with where it had no room for its answer (EX_IOERR of sysexits.h)."""


def no_room(error: OSError) -> str | None:
    """That there is no room for a file, where that is what went wrong: where, why and what to do. None: it is not."""
    if error.errno in NO_ROOM:
        where = f"cannot write {error.filename}" if error.filename else "cannot write a file"
        return f"{where}: {error.strerror}. Free space and run again, or set TMPDIR, --out or XDG_CACHE_HOME elsewhere"
    if isinstance(error, FileNotFoundError) and "usable temporary" in str(error):  # what tempfile says of a full one
        return f"{error.strerror or error}: no room there. Free space, or set TMPDIR to a folder that has some"
    return None


class StoreError(OSError):
    """A file could not be written or read back; the message says which, why and what to do."""


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


def worst(*codes: Exit) -> Exit:
    """The exit code that wins by the contract's precedence."""
    order = (Exit.USAGE, Exit.TOOL, Exit.NOT_MET, Exit.PARTIAL, Exit.DONE)
    return min(codes, key=order.index, default=Exit.DONE)

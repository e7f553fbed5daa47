"""Import this, and the process knows the faulty variants, and has a disk that is as full as ``FAULTY_DISK`` asks.

``FAULTY_DISK=replace:report.json``: ``os.replace`` fails where its last argument ends so. ``fsync#3#EIO``: the third
``os.fsync`` of a process fails with that error, and the file ``FAULTY_DISK_TOLD`` is made. Parent and workers alike.
"""

import errno
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import isobatch.models.variants


def fill_disk(name: str, end: str) -> None:
    """Let the named function of ``os`` fail with "no space left on device" where its last argument ends so."""
    real = getattr(os, name)

    def full(*arguments: Any) -> Any:
        if str(arguments[-1]).endswith(end):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    setattr(os, name, full)


def fail_once(name: str, number: str, code: str) -> None:
    """Let the call of that number of the named function fail with the named error."""
    home: Any = tempfile if name == "mkstemp" else os
    real, count, error = getattr(home, name), itertools.count(1), getattr(errno, code)

    def failing(*arguments: Any, **named: Any) -> Any:
        if next(count) == int(number):
            if told := os.environ.get("FAULTY_DISK_TOLD"):
                Path(told).touch()
            raise OSError(error, os.strerror(error))
        return real(*arguments, **named)

    setattr(home, name, failing)


isobatch.models.variants.__path__.append(str(Path(__file__).with_name("variants")))
if asked := os.environ.get("FAULTY_DISK"):
    if ":" in asked:
        fill_disk(*asked.split(":"))
    else:
        fail_once(*asked.split("#"))

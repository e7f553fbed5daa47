"""Import this, and the process knows the faulty variants, and has a disk that is as full as ``FAULTY_DISK`` asks.

``FAULTY_DISK=replace:report.json``: ``os.replace`` fails where its last argument ends so. Parent and workers alike.
"""

import errno
import os
from pathlib import Path
from typing import Any

import models.variants


def fill_disk(name: str, end: str) -> None:
    """Let the named function of ``os`` fail with "no space left on device" where its last argument ends so."""
    real = getattr(os, name)

    def full(*arguments: Any) -> Any:
        if str(arguments[-1]).endswith(end):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    setattr(os, name, full)


models.variants.__path__.append(str(Path(__file__).with_name("variants")))
if asked := os.environ.get("FAULTY_DISK"):
    fill_disk(*asked.split(":"))

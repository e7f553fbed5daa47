"""Drawings kept from one report to the next: a picture of the same specification is drawn once on a machine."""

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isobatch.pipeline.storage.files import StoreError, write_bytes


def kept(folder: Path | None, source: Any, draw: Callable[[], bytes]) -> bytes:
    """The bytes that ``draw`` makes of ``source`` (JSON-ready), made now only where they are not kept in the folder.

    The library's version is part of a drawing's name, and a digest of what follows is the first line of its file: what
    another version drew, or what is damaged, is drawn again. A folder that cannot be written costs the time of drawing,
    and nothing else; so does none.
    """
    if folder is None:
        return draw()
    named = json.dumps([importlib.metadata.version("vl-convert-python"), source], sort_keys=True)
    file = folder / hashlib.sha256(named.encode()).hexdigest()
    with contextlib.suppress(OSError):
        digest, _, drawing = file.read_bytes().partition(b"\n")
        if digest == _digest(drawing):
            return drawing
    drawing = draw()
    with contextlib.suppress(StoreError):
        write_bytes(file, [_digest(drawing), b"\n", drawing])
    return drawing


def _digest(drawing: bytes) -> bytes:
    return hashlib.sha256(drawing).hexdigest().encode()

"""Drawings kept from one report to the next: a picture of the same specification is drawn once on a machine."""

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from isobatch.pipeline.storage.files import StoreError, write_bytes
from isobatch.reports.figures.drawing_engine import DrawingError, made


def drawn(orders: Sequence[str], folder: Path | None) -> list[bytes | DrawingError]:
    """The drawing of each order, or why there is none; made now only where it is not kept in the folder.

    The library's version is part of a drawing's name, and a digest of what follows is the first line of its file: what
    another version drew, or what is damaged, is drawn again. A folder that cannot be written costs the time of drawing,
    and nothing else; so does none.
    """
    try:
        version = importlib.metadata.version("vl-convert-python")
    except importlib.metadata.PackageNotFoundError:  # each drawing says so in its place
        folder = None
    if folder is None:
        return made(orders)
    files = {order: folder / hashlib.sha256(f"{version}\n{order}".encode()).hexdigest() for order in orders}
    known: dict[str, bytes | DrawingError] = {}
    for order, file in files.items():
        with contextlib.suppress(OSError):
            digest, _, drawing = file.read_bytes().partition(b"\n")
            if digest == _digest(drawing):
                known[order] = drawing
    missing = [order for order in files if order not in known]
    for order, answer in zip(missing, made(missing), strict=True):
        known[order] = answer
        if isinstance(answer, bytes):
            with contextlib.suppress(StoreError):
                write_bytes(files[order], [_digest(answer), b"\n", answer])
    return [known[order] for order in orders]


def _digest(drawing: bytes) -> bytes:
    return hashlib.sha256(drawing).hexdigest().encode()

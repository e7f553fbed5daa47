"""The noise of the original question, drawn by torch's own generator. Runs in a worker: it imports torch."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import torch

_AT_ONCE = 4


def draw(path: Path, seed: int, n: int, size: int) -> str:
    """Write ``torch.randn((n, 3, size, size)) * 10`` after ``torch.manual_seed(seed)`` as raw float32, n rows.

    Drawn four images at a time, as the recipe does: for an even ``size`` that gives the bytes of one large draw, since
    torch fills in blocks of 16 values. The file appears whole or not at all. Returns its SHA-256; the bytes depend on
    the ISA that torch uses.
    """
    digest = hashlib.sha256()
    generator = torch.Generator().manual_seed(seed)  # the stream of torch.manual_seed, without touching the global one
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for start in range(0, n, _AT_ONCE):
                images = torch.randn((min(_AT_ONCE, n - start), 3, size, size), generator=generator) * 10
                chunk = images.numpy().tobytes()
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return digest.hexdigest()

"""The noise of the original question, drawn by torch's own generator. Runs in a worker: it imports torch."""

from collections.abc import Iterator
from pathlib import Path

import torch

from isobatch.models.shared.regular_files import write_whole

_AT_ONCE = 4


def draw(path: Path, seed: int, n: int, size: int, channels: int = 3) -> str:
    """Write ``torch.randn((n, channels, size, size)) * 10`` after ``torch.manual_seed(seed)`` as raw float32, n rows.

    Drawn four images at a time, as the recipe does: for an even ``size`` that gives the bytes of one large draw, since
    torch fills in blocks of 16 values. The file appears whole or not at all. Returns its SHA-256; the bytes depend on
    the ISA that torch uses.
    """
    generator = torch.Generator().manual_seed(seed)  # the stream of torch.manual_seed, without touching the global one

    def chunks() -> Iterator[bytes]:
        for start in range(0, n, _AT_ONCE):
            shape = (min(_AT_ONCE, n - start), channels, size, size)
            yield (torch.randn(shape, generator=generator) * 10).numpy().tobytes()

    return write_whole(path, chunks())

"""Random damage to files, and functions that read damaged files in processes of their own."""

from __future__ import annotations

import os
import random
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

TIMEOUT_S = 60
MEMORY_BYTES = 8 << 30


def mutated(whole: bytes, seed: int) -> bytes:
    """The bytes with one kind of damage: flipped bits, other bytes, a cut, a gap, a doubled part, a long tail."""
    draws = random.Random(seed)
    at = draws.randrange(len(whole))
    length = draws.randint(1, max(1, min(64, len(whole) - at)))
    match draws.randrange(7):
        case 0:  # a few bits, near the front twice as often: headers are where parsers go wrong
            damaged = bytearray(whole)
            for _ in range(draws.randint(1, 8)):
                place = draws.randrange(min(len(whole), draws.choice((256, len(whole)))))
                damaged[place] ^= 1 << draws.randrange(8)
            return bytes(damaged)
        case 1:
            return whole[:at] + draws.randbytes(length) + whole[at + length :]
        case 2:
            return whole[:at]
        case 3:
            return whole[:at] + whole[at + length :]
        case 4:
            return whole[:at] + whole[at : at + length] * draws.randint(2, 50) + whole[at + length :]
        case 5:
            return whole + draws.randbytes(draws.randint(1, 4096))
        case _:
            return whole[:at] + draws.choice((b"\0", b"\xff", b"\x7f\xff\xff\xff")) * length + whole[at + length :]


def damaged_copies(path: Path, folder: Path, count: int, seed: int) -> Iterator[Path]:
    """So many damaged copies of a file, one after the other, under its own suffix."""
    whole = path.read_bytes()
    for number in range(count):
        copy = folder / f"damaged-{number}{path.suffix}"
        copy.write_bytes(mutated(whole, seed + number))
        yield copy
        copy.unlink()


def read_apart(read: Callable[[Path], object], path: Path, refusals: tuple[type[Exception], ...]) -> str:
    """How ``read(path)`` ended in a forked child: "read", "refused: REASON", or what must not happen, named."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = "an exit that was not its own"
        try:
            os.close(reading)
            signal.alarm(TIMEOUT_S)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            read(path)
            said = "read"
        except refusals as error:
            said = f"refused: {error}"
        except BaseException:
            said = f"a traceback: {traceback.format_exc()}"
        finally:
            os.write(writing, said.encode(errors="replace")[:60_000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return said if said else f"ended by {signal.Signals(os.WTERMSIG(status)).name}"

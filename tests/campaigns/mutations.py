"""Random damage to files, and functions that read damaged files in processes of their own."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import traceback
from collections.abc import Callable, Sequence
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


def damaged_copies(path: Path, folder: Path, count: int, seed: int) -> list[Path]:
    """So many damaged copies of a file, in ``folder``, under its own suffix."""
    whole = path.read_bytes()
    copies = [folder / f"damaged-{number}{path.suffix}" for number in range(count)]
    for number, copy in enumerate(copies):
        copy.write_bytes(mutated(whole, seed + number))
    return copies


def read_apart(
    read: Callable[[Path], object], paths: Sequence[Path], refusals: tuple[type[Exception], ...]
) -> list[str]:
    """How ``read(path)`` ended for each path, in forked children: "read", "refused: REASON", or what must not happen.

    One child reads on until it ends; if that was not its own doing, the file it was at is named so, and another child
    goes on with the next.
    """
    answers: list[str] = []
    while len(answers) < len(paths):
        answers += _in_one_child(read, paths[len(answers) :], refusals)
    return answers


def _in_one_child(
    read: Callable[[Path], object], paths: Sequence[Path], refusals: tuple[type[Exception], ...]
) -> list[str]:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            with os.fdopen(writing, "w") as pipe:
                for path in paths:
                    signal.alarm(TIMEOUT_S)
                    print(json.dumps(_said(read, path, refusals)), file=pipe, flush=True)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answers = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    if len(answers) < len(paths):
        answers.append(
            f"ended by {signal.Signals(os.WTERMSIG(status)).name}" if status else "an exit that was not its own"
        )
    return answers


def _said(read: Callable[[Path], object], path: Path, refusals: tuple[type[Exception], ...]) -> str:
    try:
        read(path)
    except refusals as error:
        return f"refused: {error}"
    except BaseException:
        return f"a traceback: {traceback.format_exc()}"
    return "read"

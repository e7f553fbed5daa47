"""The engine that draws, at arm's length: where it dies, one picture is missing and the report is written."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isobatch import PROGRAM

_SCRIPT = Path(__file__).with_name("draw_apart.py")
_STARTS = 2
_LONGEST_S = 300.0  # one start, all its drawings


class DrawingError(Exception):
    """A picture could not be drawn. The text says why and what to do, in one line."""


def made(orders: Sequence[str]) -> list[bytes | DrawingError]:
    """The drawing of each order (a line of ``draw_apart``), or why there is none.

    An engine that dies is started once more, behind the order that it died of.
    """
    answers: list[bytes | DrawingError] = []
    for _ in range(_STARTS):
        if not (left := orders[len(answers) :]):
            break
        lines, end = _asked(left)
        answers += map(_answer, lines)
        if len(lines) < len(left):
            answers.append(_death(end))
    return answers + answers[-1:] * (len(orders) - len(answers))


def _asked(orders: Sequence[str]) -> tuple[list[bytes], str]:
    """The lines that it answered, and how it ended."""
    try:
        ran = subprocess.run(
            [sys.executable, "-I", str(_SCRIPT)],
            input="".join(f"{order}\n" for order in orders).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_S,
            start_new_session=True,  # Ctrl-C is the parent's to hear
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").split(b"\n")[:-1], f"had to be ended after {_LONGEST_S:.0f} s"
    except OSError as error:
        return [], f"did not start: {error}"
    code = ran.returncode
    end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return ran.stdout.split(b"\n")[:-1], end


def _answer(line: bytes) -> bytes | DrawingError:
    answer = json.loads(line)
    if "error" in answer:
        return DrawingError(f"the drawing engine refuses it: {answer['error']}")
    return base64.b64decode(answer["made"])


def _death(end: str) -> DrawingError:
    return DrawingError(
        f"the drawing engine {end}; most often a limit of memory or address space is too low for it: raise the "
        f"limit (ulimit -v) and draw again with {PROGRAM} render RUN"
    )

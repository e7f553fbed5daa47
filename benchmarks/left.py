"""How right the estimate of the time left is: ``python -m benchmarks.left ARGUMENTS OF run.py``.

Runs a study in a pipe, notes when each line of progress comes and what it says is left, and at the end compares that
with what was left. Prints a table, and how many of the estimates from the second minute on were within 30 %.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.common import RUN

FROM_S, WITHIN = 120.0, 0.3
LAST_S = 10.0  # of less than this nobody asks how right it is
_LEFT = re.compile(r"about ((?:[\d.]+ (?:h|min|s) ?)+)left")
_UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0}


def run(arguments: list[str]) -> Iterator[tuple[float, str]]:
    """The lines of progress of a study with the seconds since its start; the last is its end."""
    begin = time.monotonic()
    with subprocess.Popen(
        [*RUN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stderr is not None
        for text in process.stderr:
            yield time.monotonic() - begin, text.rstrip()
    yield time.monotonic() - begin, "the end"


def left_s(text: str) -> float | None:
    """The seconds that a line says are left; None where it says nothing of it."""
    said = _LEFT.search(text)
    if said is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)", said[1]))


def main() -> None:
    """Compare and print."""
    lines = list(run(sys.argv[1:]))
    end = lines[-1][0]
    print("| at | it said left | were left | off by | doing |\n| --- | --- | --- | --- | --- |")
    counted = right = 0
    for at, text in lines:
        said, truth = left_s(text), end - at
        if said is None or truth < LAST_S:
            continue
        off = said / truth - 1
        if at >= FROM_S:
            counted, right = counted + 1, right + (abs(off) <= WITHIN)
        print(f"| {at:.0f} s | {said:.0f} s | {truth:.0f} s | {100 * off:+.0f} % | {text.partition(' (')[0]} |")
    share = f"{right} of {counted} estimates from {FROM_S:.0f} s on were within {100 * WITHIN:.0f} %"
    print(f"\n{share}; the end at {end:.0f} s")


if __name__ == "__main__":
    main()

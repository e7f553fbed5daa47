"""Whole-process times of the study: ``python -m benchmarks.study [--rounds N] [--cold]``. Prints a table of medians.

Warm: artifacts, references and accuracies cached, no outputs. Cold: nothing cached (about 5 minutes; only with --cold).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICK_COMMANDS = (["--help"], ["--version"], ["--list-variants"])


def timed(argv: list[str], cwd: Path, cache: Path) -> float:
    """Wall seconds of one run of run.py. Raises RuntimeError where it did not end as a finished study does."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *argv],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"run.py {' '.join(argv)} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - begin


def show(name: str, seconds: list[float], note: str = "") -> None:
    """Print one row: name, median, least, largest, n."""
    middle = statistics.median(seconds)
    print(f"{name:<34} {middle:8.2f} s  ({min(seconds):.2f} to {max(seconds):.2f}, n = {len(seconds)})  {note}")


def study(folder: Path, cache: Path, argv: list[str]) -> tuple[float, str]:
    """Wall seconds of a study, and where they went."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    seconds = timed([*argv, "--quiet", "--out", str(out)], folder, cache)
    timing = json.loads((out / "report.json").read_text())["timing"]
    rest = seconds - timing["forward_s"] - timing["warm_up_s"]
    return seconds, (
        f"forward {timing['forward_s']:.1f} s in {timing['forward_passes']} calls, "
        f"ahead of them {timing['warm_up_s']:.1f} s, other {rest:.1f} s; "
        f"peak {timing['peak_memory_bytes'] / 1e9:.2f} GB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        for argv in QUICK_COMMANDS:
            show(" ".join(argv), [timed(argv, folder, cache) for _ in range(arguments.rounds)])
        cold, note = study(folder, cache, ["--variants", "all"])  # fills the cache
        if arguments.cold:
            show("study, nothing cached", [cold], note)
        for label, argv in (("study, cached", ["--variants", "all"]), ("--quick, cached", ["--quick"])):
            runs = [study(folder, cache, argv) for _ in range(arguments.rounds)]
            show(label, [seconds for seconds, _ in runs], runs[-1][1])
        for n in (64, 512):
            argv = ["--variants", "ort-int8", "--inputs", "digits", "--images", str(n if n < 490 else 490)]
            show(f"ort-int8, {n} images", [(run := study(folder, cache, argv))[0]], run[1])


if __name__ == "__main__":
    main()

"""Whole-process times of the study: ``python -m benchmarks.study [--rounds N] [--cold]``. Prints tables of medians.

Warm: artifacts, references and accuracies cached, no outputs. Cold: nothing cached. Beside each default study, in the
same minutes, the same variants are run as one would by hand (``benchmarks.by_hand``): opened, called, compared; with
``--cold`` also with what building them takes. Figures worth keeping are those of a machine with nothing else to do.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmarks.common import ROOT, followed, timed, timing_of
from isobatch.pipeline.records.study import Timing, Verdict

QUICK_COMMANDS = (["--help"], ["--version"], ["--list-variants"])
CHECKS = (["check", "resnet50", "--quiet"], ["check", "resnet18", "--input-shape", "3x64x64", "--quiet"])


FROM_S, WITHIN = 60.0, 0.3  # from the second minute on the time left is to be right within so much
LAST_S = 10.0  # of less than this nobody asks how right it is
_VERDICT = re.compile(rf"\S+: ({'|'.join(get_args(Verdict))})\b")
_LEFT = re.compile(r"about ((?:[\d.]+ (?:h|min|s) ?)+)left")
_UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0}


@dataclass(frozen=True)
class StudyWatched:
    """One study: its lines of progress by seconds since the command, the prompt last, and what its report says."""

    folder: Path
    lines: Sequence[tuple[float, str]]
    timing: Timing

    @property
    def wall_s(self) -> float:
        """Seconds from the command to the prompt."""
        return self.lines[-1][0]

    @property
    def verdicts_s(self) -> list[float]:
        """When each verdict was shown."""
        return [at for at, text in self.lines if _VERDICT.match(text)]

    @property
    def estimates(self) -> list[bool]:
        """Of each estimate of the time left, from the second minute on, whether it was right."""
        said = [(at, left_s(text), self.wall_s - at) for at, text in self.lines if at >= FROM_S]
        return [abs(left / true - 1) <= WITHIN for _, left, true in said if left is not None and true >= LAST_S]

    @property
    def call_s(self) -> float:
        """Seconds of the calls of the evidence."""
        return self.timing.forward_s + self.timing.warm_up_s

    @property
    def beside_s(self) -> float:
        """Seconds beside the calls of the evidence and beside those stages that call the network otherwise, as a whole:
        what these take beside their calls is not in it.
        """
        called = ("race", "range", "explanation", "accuracy", "references", "artifacts")
        return self.wall_s - self.call_s - sum(self.timing.stages.get(name, 0.0) for name in called)


def study(folder: Path, cache: Path, argv: list[str]) -> StudyWatched:
    """One study."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    lines = followed([*argv, "--out", str(out)], folder, cache)
    return StudyWatched(out, lines, timing_of(out))


def left_s(text: str) -> float | None:
    """The seconds that a line says are left; None where it says nothing of it."""
    said = _LEFT.search(text)
    if said is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)", said[1]))


def by_hand(run: Path) -> float:
    """Seconds of a process that does the original post's work for the variants of this run."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.by_hand", str(run)], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - begin


def row(name: str, values: Sequence[float], unit: str = "s") -> str:
    """One row: name, median, least, largest, n."""
    middle = statistics.median(values)
    digits = 1 if unit in ("s", "x") else 0
    spread = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"| {name} | {middle:.{digits}f} {unit} | {spread} | {len(values)} |"


def table(label: str, runs: Sequence[StudyWatched]) -> list[str]:
    """The rows of one kind of study: the whole, its stages, and what it did."""
    rows = [row(label, [run.wall_s for run in runs])]
    for stage in runs[0].timing.stages:
        rows.append(row(f"{label}: {stage}", [run.timing.stages.get(stage, 0.0) for run in runs]))
    rows.append(row(f"{label}: calls of the evidence", [run.call_s for run in runs]))
    rows.append(row(f"{label}: beside these calls, the race and stages that compute", [run.beside_s for run in runs]))
    rows.append(row(f"{label}: first verdict", [min(run.verdicts_s) for run in runs]))
    rows.append(row(f"{label}: all verdicts", [max(run.verdicts_s) for run in runs]))
    estimates = [right for run in runs for right in run.estimates]
    right = f"{sum(estimates)} of {len(estimates)} were right within {100 * WITHIN:.0f} %"
    rows.append(f"| {label}: estimates of the time left from {FROM_S:.0f} s on | {right} | | {len(runs)} |")
    rows.append(row(f"{label}: image passes", [run.timing.images_passed for run in runs], "images"))
    rows.append(row(f"{label}: calls", [run.timing.forward_passes for run in runs], "calls"))
    rows.append(row(f"{label}: peak memory", [(run.timing.peak_memory_bytes or 0) / 1e6 for run in runs], "MB"))
    return rows


def over_by_hand(label: str, runs: Sequence[StudyWatched], hands: Sequence[float]) -> list[str]:
    """The rows of how many times as long as by hand a study took: the whole of it, and its evidence."""
    pairs = list(zip(runs, hands, strict=True))
    whole = row(f"{label}, over by hand", [run.wall_s / hand for run, hand in pairs], "x")
    evidence = [run.timing.stages["evidence"] / hand for run, hand in pairs]
    return [whole, row(f"{label}: evidence, over by hand", evidence, "x")]


def say(rows: Sequence[str]) -> None:
    """Print rows as soon as they are there."""
    print("\n".join(rows), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="the first study, which fills the cache, is a row too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs and their cache in this new folder")
    parser.add_argument("--variants", default="all")
    parser.add_argument("--model", default="resnet50")
    arguments = parser.parse_args()
    asked = ["--model", arguments.model, "--variants", arguments.variants]
    asked += ["--weights", "auto" if arguments.model == "resnet50" else "random"]
    say(["| what | median | least to most | n |", "| --- | --- | --- | --- |"])
    with ExitStack() as opened:
        folder = arguments.keep or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=arguments.keep is None)
        cache = folder / "cache"
        for argv in (*QUICK_COMMANDS, *CHECKS):
            say([row(f"`{' '.join(argv)}`", [timed(argv, folder, cache) for _ in range(arguments.rounds)])])
        cold = study(folder, cache, asked)
        if arguments.cold:
            say(table("nothing cached", [cold]))
        runs, hands, quick = [], [], []
        for _ in range(arguments.rounds):  # in turn: what slows one slows the others
            runs.append(study(folder, cache, asked))
            hands.append(by_hand(runs[-1].folder))
            quick.append(study(folder, cache, [*asked, "--quick"]))
        say(table("cached", runs))
        say(table("--quick, cached", quick))
        say([row("the same variants by hand", hands)])
        say(over_by_hand("--quick", quick, hands))  # the same question on the same images
        say(over_by_hand("cached", runs, hands))
        if arguments.cold:
            built = [hand + cold.timing.stages["artifacts"] for hand in hands]
            say([row("by hand, built too", built), *over_by_hand("nothing cached", [cold], [statistics.median(built)])])


if __name__ == "__main__":
    main()

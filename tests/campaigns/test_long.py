"""Thousands of images: no process of a study grows once it is warm, nor opens files or starts processes without end."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.registry import all_variants
from tests.faulty.studies import Started, make_home, report, start

COUNT = 2_000
GROWTH = 1.05
FEW = 12  # samples, below which a process was too short to tell
EVERY = [row.name for row in all_variants() if not row.optional]


@dataclass(frozen=True)
class Sample:
    """One look at a process: bytes of its own memory (files that it maps aside), open files, threads."""

    memory: int
    files: int
    threads: int


def look(pid: str) -> Sample | None:
    """None where it has ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return Sample(int(status["RssAnon"].split()[0]) * 1024, files, int(status["Threads"]))
    except (OSError, KeyError, ValueError):
        return None


def family(pid: int) -> list[str]:
    """A process and all that it started, still alive."""
    found = [str(pid)]
    for one in found:
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                found += Path(f"/proc/{one}/task/{task}/children").read_text().split()
        except OSError:
            continue
    return found


def watched(started: Started, every_s: float) -> tuple[dict[str, list[Sample]], list[int]]:
    """Samples of each process of a study while workers ran in it, and how many processes there were at each look."""
    seen: dict[str, list[Sample]] = defaultdict(list)
    counts = []
    while started.process.poll() is None:
        pids = family(started.process.pid)
        if len(pids) > 2:  # the study, its launcher, and a worker: outside of this time reports are drawn
            counts.append(len(pids))
            for pid in pids:
                if (sample := look(pid)) is not None:
                    seen[pid].append(sample)
        time.sleep(every_s)
    return seen, counts


def growth(values: list[int]) -> float:
    """The largest of the last third over the largest of the third before it: what came after the warm-up."""
    third = len(values) // 3
    return max(values[2 * third :]) / max(1, *values[third : 2 * third])


@pytest.mark.parametrize("variant", ["faulty-healthy", *EVERY])
def test_memory_files_and_processes_stay_flat(
    variant: str, full: bool, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    tiny = variant == "faulty-healthy"
    if not full and not tiny:
        pytest.skip("only in a full campaign (--full)")
    home, side = make_home(tmp_path), 32 if tiny else 64
    np.save(home / "many.npy", np.random.default_rng(0).standard_normal((COUNT + 64, 3, side, side), np.float32))
    network = ("--onnx", "small.onnx") if tiny else ("--model", "resnet18", "--weights", "random", "--image-size", "64")
    argv = (*network, "--inputs", "many.npy", "--images", str(COUNT), "--variants", variant, "--batch-sizes", "8")
    started = start(home, *argv, "--threads", "2", "--no-explain", "--workers", "1", "--quiet", "--out", "run")
    seen, counts = watched(started, 0.02 if tiny else 0.25)
    ended = started.end()
    assert ended.code in (0, 1), ended.stderr
    (found,) = (one for one in report(home / "run")["variants"] if one["name"] == variant)
    assert found["status"] == "measured"
    long = {pid: samples for pid, samples in seen.items() if len(samples) >= FEW}
    assert str(started.process.pid) in long and len(long) >= 3  # the study, its launcher, a worker
    kinds = ("memory", "files", "threads")
    worst = {kind: max(growth([getattr(one, kind) for one in samples]) for samples in long.values()) for kind in kinds}
    shares = ", ".join(f"{kind} {value:.3f}" for kind, value in worst.items())
    tell(f"long: {variant}: {COUNT} images, {len(long)} processes, {max(counts)} at once; late over before: {shares}")
    assert worst["memory"] <= GROWTH, worst
    assert worst["files"] <= 1, worst
    assert growth(counts) <= 1.5, counts

"""Thousands of images: no process of a study grows once it is warm, nor opens files or starts processes without end."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from isobatch.models.registry import all_variants, installed
from isobatch.pipeline.evidence.passes import run_passes
from isobatch.pipeline.evidence.plan import plan_passes
from tests.faulty.studies import Started, make_home, report, start
from tests.models.conftest import stored_images

COUNT = 2_000
GROWTH = 1.05
EVERY_S = 0.03
FEW = 15  # looks, below which a worker did something other than pass images through
EVERY = [
    row.name
    for row in all_variants()
    if not row.optional and row.role != "reference" and (not row.extra or installed(row))
]


@dataclass(frozen=True)
class Sample:
    """One look at a process: bytes of its own memory (files that it maps aside), open files, threads."""

    memory: int
    files: int
    threads: int
    peak: int  # the most bytes that it ever had resident, which no look can miss


LIMITS = {"memory": GROWTH, "peak": GROWTH, "files": 1.0, "threads": 1.0}
LASTING, ENDING = ("memory", "files", "threads"), ("peak", "files", "threads")  # what is looked at of which process


def look(pid: str) -> Sample | None:
    """None where it has ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        memory, peak = (int(status[name].split()[0]) * 1024 for name in ("RssAnon", "VmHWM"))
        return Sample(memory, files, int(status["Threads"]), peak)
    except (OSError, KeyError, ValueError):
        return None


def children(pid: str) -> list[str]:
    """The processes that it started, still alive."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [child for task in tasks for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except OSError:
        return []


def family(pid: str) -> list[str]:
    """A study, its launchers and their workers; without what draws its reports, which starts no process."""
    launchers = {child: children(child) for child in children(pid)}
    working = [name for launcher, workers in launchers.items() if workers for name in (launcher, *workers)]
    return [pid, *working] if working else []


def watched(started: Started, every_s: float, report_file: Path) -> tuple[dict[str, list[Sample]], list[int]]:
    """Samples of each process of a study while workers ran in it, and how many processes there were at each look.

    Until the first report: drawing takes memory of its own, and what runs after it passes few images.
    """
    seen: dict[str, list[Sample]] = defaultdict(list)
    counts = []
    while started.process.poll() is None:
        if not report_file.exists() and (pids := family(str(started.process.pid))):
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


def most(samples: list[Sample]) -> Sample:
    """The most of each kind that a process had."""
    return Sample(*(max(values) for values in zip(*map(astuple, samples), strict=True)))


class Small:
    """A classifier of three classes."""

    def run(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        return batch.reshape(len(batch), -1)[:, :3] * np.float32(2)


def test_the_passes_over_thousands_of_images_leave_nothing_behind(tmp_path: Path) -> None:
    """The short form: what a worker does with each image, with a network that takes no time."""
    images, seen = stored_images(tmp_path, COUNT, seed=7), []

    def done(count: int) -> None:
        sample = look(str(os.getpid()))
        assert sample is not None
        seen.append(sample)

    passes = plan_passes(COUNT, (8,), probes=True)
    rows, *_ = run_passes(Small(), images, passes, done, timed=True)  # type: ignore[arg-type]
    assert [len(index) for index, _ in rows.values()] == [COUNT, *(0 for _ in passes[1:])]
    assert len(seen) > COUNT
    assert growth([sample.memory for sample in seen]) <= GROWTH
    assert growth([sample.files for sample in seen]) <= 1


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all variants, whose studies then share the references."""
    home = make_home(tmp_path_factory.mktemp("long"))
    np.save(home / "many.npy", np.random.default_rng(0).standard_normal((COUNT + 64, 3, 64, 64), np.float32))
    return home


@pytest.mark.full
@pytest.mark.parametrize("variant", EVERY)
def test_memory_files_and_processes_stay_flat(variant: str, home: Path, tell: Callable[[str], None]) -> None:
    network = ("--model", "resnet18", "--weights", "random", "--image-size", "64")
    argv = (*network, "--inputs", "many.npy", "--images", str(COUNT), "--variants", variant, "--batch-sizes", "8")
    argv += ("--threads", "2", "--thorough", "--no-explain", "--workers", "1", "--quiet", "--out", variant)
    started = start(home, *argv, "--race-seconds", "0", "--certify", "off")  # whose workers do other things
    seen, counts = watched(started, EVERY_S, home / variant / "report.json")
    ended = started.end()
    assert ended.code in (0, 1), ended.stderr
    (record,) = (each for each in report(home / variant)["variants"] if each["name"] == variant)
    assert record["status"] == "measured"
    looks = max(map(len, seen.values()))
    lasting = {pid: samples for pid, samples in seen.items() if len(samples) > looks / 2}
    # a worker passes one part of the images through, and ends: none may need more than those before it
    workers = [most(samples) for samples in seen.values() if FEW <= len(samples) <= looks / 2]
    assert str(started.process.pid) in lasting and len(lasting) >= 2  # the study and its launcher
    images = max(
        set_verdict["n_images"] for set_verdict in record["by_inputs"]
    )  # a few, where its arithmetic is emulated
    found_growth = [
        (kind, growth([getattr(sample, kind) for sample in some])) for some in lasting.values() for kind in LASTING
    ]
    if images == COUNT:
        assert len(workers) >= 12
        found_growth += [(kind, growth([getattr(worker, kind) for worker in workers])) for kind in ENDING]
    worst = {kind: max(value for known, value in found_growth if known == kind) for kind, _ in found_growth}
    shares = ", ".join(f"{kind} {value:.3f}" for kind, value in worst.items())
    peak = max(worker.peak for worker in workers) / 1e6
    tell(f"long: {variant}: {images} images, {len(workers)} workers, at most {peak:.0f} MB; late over before: {shares}")
    assert all(value <= LIMITS[kind] for kind, value in worst.items()), (worst, workers)
    assert growth(counts) <= 1.5, counts

"""How a study's time grows: ``python -m benchmarks.scale PART``. Real studies of resnet18 (random weights) at 64 px.

``line``: seconds over 64, 128, 256 and 512 images, and the straight line through them. ``workers``: two workers against
one, with one thread each. ``resume``: from the start of a killed study's second command to its first new job.
``many``: 2,000 images, against what 128 of them say. ``model``: ImageNet's validation set, out of the measured speeds
of the sample report (ResNet50 at 224 px); it runs nothing.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RUN, SAMPLE, timed, timing_of
from isobatch.pipeline.evidence.plan import ROUNDS, plan_passes
from isobatch.pipeline.evidence.stored import read_evidence
from isobatch.pipeline.records.study import Cost, Timing

NETWORK = ("--model", "resnet18", "--weights", "random", "--image-size", "64", "--threads", "1", "--no-explain")
SPARE = 64  # images for calibration
SIZES = (2, 3, 4, 8, 16)
NODES, CONDITIONS, IMAGENET = (1, 8, 64), 12, 50_000


@dataclass(frozen=True)
class StudyAtSize:
    """One study: what its report says of its time; by variant seconds of calls, bytes of evidence, images passed."""

    images: int
    timing: Timing
    call_s: dict[str, float]
    bytes_: dict[str, int]
    passed: dict[str, int]

    @property
    def seconds(self) -> dict[str, float]:
        """Of the whole, and of the stage that gathers evidence."""
        return {"evidence_s": self.timing.stages["evidence"], "wall_s": self.timing.wall_s}

    def __str__(self) -> str:
        """Both, and the peak memory."""
        peak = f"peak {(self.timing.peak_memory_bytes or 0) / 1e6:.0f} MB"
        return f"evidence {self.seconds['evidence_s']:6.1f} s, study {self.timing.wall_s:6.1f} s, {peak}"


class Home:
    """A folder with images to study and a cache of its own."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self._runs = folder, 0
        pixels = np.random.default_rng(0).integers(0, 256, (most + SPARE, 3, 64, 64), dtype=np.uint8)
        np.save(folder / "images.npy", pixels)

    def flags(self, images: int, variants: str, *argv: str) -> list[str]:
        """The arguments of a study."""
        return [*NETWORK, "--inputs", "images.npy", "--images", str(images), "--variants", variants, *argv]

    def study(self, images: int, variants: str, *argv: str) -> StudyAtSize:
        """Run a study to its end. Raises RuntimeError where it does not end as a finished study does."""
        self._runs += 1
        out = self.folder / f"run-{self._runs}"
        timed(self.flags(images, variants, "--quiet", "--out", str(out), *argv), self.folder, self.folder / "cache")
        call_s: dict[str, float] = defaultdict(float)
        bytes_, passed = defaultdict[str, int](int), defaultdict[str, int](int)
        for file in out.glob("evidence/*/*.safetensors"):
            evidence = read_evidence(file)
            call_s[evidence.variant] += sum(sum(spent) for spent in evidence.call_s.values())
            bytes_[evidence.variant] += file.stat().st_size
            passed[evidence.variant] += sum(p.stop - p.start for p in evidence.passes)
        return StudyAtSize(images, timing_of(out), dict(call_s), dict(bytes_), dict(passed))


@contextmanager
def home(most: int) -> Iterator[Home]:
    """A home with so many images, removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Home(Path(folder), most)


def line(variants: str) -> None:
    """Seconds over the number of images."""
    counts = (64, 128, 256, 512)
    with home(counts[-1]) as here:
        here.study(16, variants)  # builds and caches
        runs = []
        for count in counts:
            runs.append(run := here.study(count, variants, "--workers", "1"))
            each = sum(run.bytes_.values()) / run.images
            print(f"{run.images:5} images: {run}, {each:.0f} bytes of evidence an image", flush=True)
    for name in ("evidence_s", "wall_s"):
        fit(name, counts, [run.seconds[name] for run in runs])


def fit(name: str, counts: tuple[int, ...], seconds: list[float]) -> None:
    """Print the least-squares line, its R2 and residuals."""
    slope, start = np.polyfit(counts, seconds, 1)
    residuals = np.asarray(seconds) - (slope * np.asarray(counts) + start)
    r2 = 1 - (residuals**2).sum() / ((np.asarray(seconds) - np.mean(seconds)) ** 2).sum()
    rest = ", ".join(f"{residual:+.2f}" for residual in residuals)
    print(f"{name}: {slope:.4f} s an image, {start:+.2f} s at 0; R2 {r2:.5f}; residuals {rest} s")


def workers(variants: str, images: int) -> None:
    """Two workers against one, twice in turn."""
    with home(images) as here:
        here.study(16, variants)
        runs = []
        for n in (1, 2, 2, 1):
            runs.append(run := here.study(images, variants, "--workers", str(n)))
            calls = sum(run.call_s.values())
            print(f"up to {run.timing.workers} at once: {run} (calls {calls:.1f} s)", flush=True)
    for name in ("evidence_s", "wall_s"):
        alone, both = (sum(run.seconds[name] for run in runs if run.timing.workers == n) for n in (1, 2))
        print(f"{name}: {alone / both:.2f} times as fast with two")


def resume(variants: str, images: int) -> None:
    """Kill a study after its first evidence, start it again, and time what passes before its next job starts."""
    with home(images) as here:
        here.study(16, variants)
        for trial in range(3):
            command = [*RUN, *here.flags(images, variants, "--out", f"killed-{trial}", "--workers", "1")]
            env = os.environ | {"XDG_CACHE_HOME": str(here.folder / "cache")}
            first = subprocess.Popen(command, cwd=here.folder, env=env, stderr=subprocess.DEVNULL)
            while not list(here.folder.glob(f"killed-{trial}/evidence/*/*.safetensors")):
                time.sleep(0.01)
            first.kill()
            first.wait()
            begin = time.monotonic()
            again = subprocess.Popen(
                command, cwd=here.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            assert again.stderr is not None
            told = next(text for text in again.stderr if ", round " in text)
            print(f"{time.monotonic() - begin:.2f} s to the first new job: {told.strip()}", flush=True)
            again.kill()
            again.communicate()


def many(variants: str, images: int) -> None:
    """A study of many images: seconds and bytes an image, by variant; and how well the few say what the many take."""
    few = 128
    with home(images) as here:
        here.study(16, variants)
        small = here.study(few, variants, "--workers", "1")
        large = here.study(images, variants, "--workers", "1")
    print(f"{'variant':20} {'ms a pass and image':>20} {'foretold s':>11} {'measured s':>11} {'bytes an image':>15}")
    for name, spent in large.call_s.items():
        each = small.call_s[name] / small.passed[name]
        foretold = each * large.passed[name]
        print(f"{name:20} {1e3 * each:20.3f} {foretold:11.1f} {spent:11.1f} {large.bytes_[name] / images:15.0f}")
    foretold = sum(small.call_s[name] / small.passed[name] * large.passed[name] for name in large.call_s)
    calls = sum(large.call_s.values())
    beside = [run.seconds["evidence_s"] - sum(run.call_s.values()) for run in (small, large)]
    print(f"calls: {foretold:.1f} s foretold from {few} images, {calls:.1f} s measured")
    print(f"{large}; {beside[1]:.1f} s of evidence beside calls, {large.timing.stages['comparison']:.1f} s comparing")
    print(f"of {few} images: {small}; {beside[0]:.1f} s beside calls")


def model() -> None:
    """What ImageNet's validation set would cost, out of the sample report's speeds."""
    total = 0.0
    for variant in json.loads(SAMPLE.read_text())["variants"]:
        if variant.get("cost") is None:
            continue
        cost = Cost.model_validate(variant["cost"])
        if len(cost.throughput_img_s) <= len(SIZES):
            print(f"{variant['name']:20} emulated: a few images only, whatever the set's size")
            continue
        total += image_seconds(cost)
        print(f"{variant['name']:20} {image_seconds(cost):8.3f} s an image and condition")
    whole = total * IMAGENET * CONDITIONS / 86400
    print(f"together {total:.2f} s an image and condition; {IMAGENET:,} images under {CONDITIONS} conditions:")
    for nodes in NODES:
        print(f"{nodes:3} nodes: {whole / nodes:8.2f} days")


def image_seconds(cost: Cost) -> float:
    """Seconds that one image costs a variant under one condition: its share of every pass of both rounds."""
    passes = [planned for turn in range(ROUNDS) for planned in plan_passes(48, SIZES, probes=turn == 0)]
    return sum(_each(cost, planned.batch_size) * (planned.stop - planned.start) / 48 for planned in passes)


def _each(cost: Cost, n: int) -> float:
    """Seconds an image at this N; of an N that was not timed, those at the nearest one."""
    nearest = min(cost.throughput_img_s, key=lambda known: abs(int(known) - n))
    return 1 / cost.throughput_img_s[nearest].median


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("line", "workers", "resume", "many", "model"))
    parser.add_argument("--variants", default="fp32,int8-x86,ort-fp32,ort-int8", help="'all', or a list")
    parser.add_argument("--images", type=int)
    asked = parser.parse_args()
    parts: dict[str, Any] = {
        "line": lambda: line(asked.variants),
        "workers": lambda: workers(asked.variants, asked.images or 512),
        "resume": lambda: resume(asked.variants, asked.images or 256),
        "many": lambda: many(asked.variants, asked.images or 2000),
        "model": model,
    }
    parts[asked.part]()


if __name__ == "__main__":
    main()

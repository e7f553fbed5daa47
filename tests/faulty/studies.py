"""Studies as processes, and what must hold of every one of them, however it ends."""

import atexit
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any

import jsonschema
import numpy as np
import onnx
from PIL import Image

from tests.in_process import Ended
from tests.models.ort.small_onnx import classifier
from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "reports" / "schema.json").read_text())
STUDY = ("--onnx", "small.onnx", "--inputs", "pictures", "--image-size", "64", "--images", "4")
GRID = ("--batch-sizes", "2,4", "--threads", "1", "--race-seconds", "0", "--certify", "off")
_MARK = "TEST_OF_FAULTS"
_count = itertools.count()


COLOURS = {"2": (220, 40, 220), "5": (40, 220, 40)}
"""What the small network takes for this class, whatever the size and however noisy the picture."""


def make_home(home: Path) -> Path:
    """A folder with a small network, pictures whose labels it gets right, and a place for temporary files."""
    onnx.save(classifier(), home / "small.onnx")
    pixels = np.random.default_rng(1)
    for label, colour in COLOURS.items():
        (home / "pictures" / label).mkdir(parents=True)
        for number in range(6):
            noise = pixels.integers(-40, 36, (64, 64, 3))
            picture = Image.fromarray((np.array(colour) + noise).astype(np.uint8))
            picture.save(home / "pictures" / label / f"{number}.png")
    (home / "tmp").mkdir()
    return home


@dataclass(frozen=True)
class Started:
    """A running study. Its environment carries a mark of its own, which all its processes inherit."""

    process: subprocess.Popen[bytes]
    home: Path
    mark: str

    def end(self, alone: bool = True) -> Ended:
        """Wait, and check that it left no process, no temporary file (if ``alone`` in its home) and no traceback."""
        stdout, stderr = self.process.communicate(timeout=ENDS_S)
        ended = Ended(self.process.returncode, (stdout or b"").decode(), (stderr or b"").decode())
        assert "Traceback" not in ended.stdout + ended.stderr
        assert alive(self.mark) == []
        if alone:
            assert list((self.home / "tmp").iterdir()) == []
            assert hidden(self.home) <= {".lock", ".in-use.lock"}
        return ended


def hidden(home: Path) -> set[str]:
    """The names of hidden files in a home, other than in the folders for temporary files, which have their own check.

    What a killed study leaves there, the next one sweeps that has the same folder for temporary files.
    """
    return {path.name for path in home.rglob(".*") if not path.relative_to(home).parts[0].startswith("tmp")}


def interruptible() -> None:
    """In a child before it starts: hear SIGINT, which a shell lets its background jobs, such as this suite, ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(
    home: Path, *argv: str, env: Mapping[str, str] = {}, optimised: bool = False, stdout: int = PIPE, stderr: int = PIPE
) -> Started:
    """Start ``run.py`` with the faulty variants known, in ``home``."""
    mark = f"{os.getpid()}-{next(_count)}"
    process = subprocess.Popen(
        [sys.executable, *(["-O"] if optimised else []), "-m", "tests.faulty", *argv],
        cwd=home,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(home / "tmp"), _MARK: mark, **env},
        preexec_fn=interruptible,
    )
    return Started(process, home, mark)


def study(home: Path, variants: str, *argv: str, env: Mapping[str, str] = {}) -> Ended:
    """A study of these variants, run to its end; in a process of its own where its disk is to fail, else a warm one."""
    names = ",".join(name if name.startswith("ort-") else f"faulty-{name}" for name in variants.split())
    whole = (*STUDY, *GRID, "--variants", names, *argv)
    return start(home, *whole, env=env).end() if "FAULTY_DISK" in env else served(home, *whole, env=env)


def served(home: Path, *argv: str, env: Mapping[str, str] = {}) -> Ended:
    """``start(...).end()``, by a process that has its libraries, its drawing engine and its launchers already."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    asked = {"cwd": str(home), "argv": argv, "env": dict(env)}
    with _one_at_a_time:
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
    ended = Ended(answer["code"], answer["stdout"], answer["stderr"])
    assert "Traceback" not in ended.stdout + ended.stderr
    assert answer["left"] == 0
    assert hidden(home) <= {".lock", ".in-use.lock"}
    return ended


_one_at_a_time = threading.Lock()


@cache
def _server() -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.faulty.serve"]
    server = subprocess.Popen(
        argv, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    def close() -> None:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.close()
        server.wait(ENDS_S)
        server.stdout.close()

    atexit.register(close)
    return server


def alive(mark: str) -> list[str]:
    """The processes that carry this mark."""
    living = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{_MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                living.append(path.parent.name)
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return living


def report(folder: Path) -> dict[str, Any]:
    """The report of a run, read as strictly as JSON allows, after its schema."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    content: dict[str, Any] = json.loads((folder / "report.json").read_bytes(), parse_constant=refuse)
    jsonschema.validate(content, SCHEMA)
    return content


def by_name(study_report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The variants of a report, by name without the common prefix."""
    return {variant["name"].removeprefix("faulty-"): variant for variant in study_report["variants"]}


def marks(study_report: dict[str, Any]) -> dict[str, Any]:
    """The fingerprints of every variant of a report."""
    return {name: variant["fingerprints"] for name, variant in by_name(study_report).items()}


def findings(study_report: dict[str, Any]) -> dict[str, Any]:
    """All that must not depend on how often a study was started."""
    kept = ("verdict", "by_inputs", "classes", "comparisons", "origins", "origins_complete", "growth", "fingerprints")
    return {variant["name"]: {name: variant[name] for name in kept} for variant in study_report["variants"]}

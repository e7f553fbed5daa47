"""SIGKILL at random moments of a small study, then the same command again: the same evidence, and nothing left over."""

import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import read_evidence
from tests.faulty.studies import GRID, STUDY, alive, findings, make_home, marks, report, start, study

SHORT, FULL = 2, 100
AT_ONCE = 2
VARIANTS = "healthy ort-fp32"
ARGV = (*STUDY, *GRID, "--variants", "faulty-healthy,ort-fp32")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def whole(home: Path) -> tuple[float, dict[str, Any]]:
    """How long the study takes with artifacts cached, and its report."""
    study(home, VARIANTS, "--out", "first")
    begin = time.monotonic()
    start(home, *ARGV, "--out", "whole").end()
    return time.monotonic() - begin, report(home / "whole")


def evidence(folder: Path) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    """The output bytes of every stored job, by its file's name: singles, and rows that differ."""
    found = {}
    for file in (folder / "evidence").rglob("*.safetensors"):
        stored = read_evidence(file)
        rows = {name: index.tobytes() + values.tobytes() for name, (index, values) in stored.rows.items()}
        found[file.name] = (stored.singles.tobytes(), rows)
    return found


def trial(number: int, home: Path, length_s: float, expected: dict[str, Any]) -> bool:
    """Kill a study at a random moment and start it again; whether the second start went on with the first."""
    out, own = f"trial-{number}", home / f"tmp-{number}"
    own.mkdir()
    killed = start(home, *ARGV, "--out", out, env={"TMPDIR": str(own)})
    time.sleep(random.Random(20261124 + number).uniform(0.1, length_s))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while alive(killed.mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(killed.mark) == [], f"trial {number}: a process outlived its study"
    fresh = ["--fresh"] * (home / out / "report.json").is_file()  # it was quicker than the signal
    again = start(home, *ARGV, "--out", out, *fresh, env={"TMPDIR": str(own)}).end(alone=False)
    assert again.code == 0, f"trial {number}: {again.stderr}"
    assert list(own.iterdir()) == [], f"trial {number}: a temporary file was left"
    assert findings(report(home / out)) == findings(expected), f"trial {number}"
    assert marks(report(home / out)) == marks(expected)
    assert evidence(home / out) == evidence(home / "whole"), f"trial {number}"
    return "resuming" in again.stderr


def test_a_killed_study_goes_on_to_the_same_evidence(
    home: Path,
    whole: tuple[float, dict[str, Any]],
    full: bool,
    part: Callable[[int], range],
    tell: Callable[[str], None],
) -> None:
    length_s, expected = whole
    numbers = part(FULL) if full else range(SHORT)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        resumed = list(pool.map(lambda number: trial(number, home, length_s, expected), numbers))
    assert any(resumed)
    tell(f"killed: {len(resumed)} of {len(numbers)} trials, {sum(resumed)} of them went on where they had stopped")
    assert not [path for path in home.rglob(".*") if path.name not in (".lock", ".in-use.lock")]

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

from isobatch.pipeline.evidence.stored import read_evidence
from tests.faulty.studies import GRID, STUDY, alive, findings, make_home, marks, report, served, start, study
from tests.waiting import ENDS_S, until

FULL = 100
AT_ONCE = 2
VARIANTS = "healthy ort-fp32"
ARGV = (*STUDY, *GRID, "--variants", "faulty-healthy,ort-fp32")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("killed"))


def evidence(folder: Path) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    """The output bytes of every stored job, by its file's name: singles, and the rows of every pass."""
    found = {}
    for file in (folder / "evidence").rglob("*.safetensors"):
        stored = read_evidence(file)
        rows = {chosen.id: stored.outputs(chosen).tobytes() for chosen in stored.passes}
        found[file.name] = (stored.singles.tobytes(), rows)
    return found


def trial(number: int, home: Path, length_s: float | None, expected: dict[str, Any]) -> bool:
    """Kill a study and start it again; whether the second start went on with the first.

    ``length_s``: kill it at a random moment of so many seconds; None: as soon as it has some evidence.
    """
    out, own = f"trial-{number}", home / f"tmp-{number}"
    own.mkdir()
    killed = start(home, *ARGV, "--out", out, env={"TMPDIR": str(own)})
    if length_s is not None:
        time.sleep(random.Random(20261124 + number).uniform(0.1, length_s))
    else:
        until(lambda: list((home / out / "evidence").rglob("*.safetensors")), killed.process)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.communicate(timeout=ENDS_S)
    until(lambda: not alive(killed.mark))  # no process outlives its study
    fresh = ["--fresh"] * (home / out / "report.json").is_file()  # it was quicker than the signal
    argv = (*ARGV, "--out", out, *fresh)
    alone = length_s is not None
    again = start(home, *argv, env={"TMPDIR": str(own)}).end(alone=False) if alone else served(home, *argv)
    assert again.code == 0, f"trial {number}: {again.stderr}"
    assert not alone or list(own.iterdir()) == [], f"trial {number}: a temporary file was left"
    assert findings(report(home / out)) == findings(expected), f"trial {number}"
    assert marks(report(home / out)) == marks(expected)
    assert evidence(home / out) == evidence(home / "whole"), f"trial {number}"
    return "resuming" in again.stderr


def test_a_killed_study_goes_on_to_the_same_evidence(
    home: Path,
    full: bool,
    part: Callable[[int], range],
    tell: Callable[[str], None],
) -> None:
    study(home, VARIANTS, "--out", "whole")
    expected = report(home / "whole")
    if not full:
        assert trial(0, home, None, expected)
        return
    begin = time.monotonic()
    start(home, *ARGV, "--out", "timed").end()
    length_s, numbers = time.monotonic() - begin, part(FULL)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        resumed = list(pool.map(lambda number: trial(number, home, length_s, expected), numbers))
    assert any(resumed)
    tell(f"killed: {len(resumed)} of {len(numbers)} trials, {sum(resumed)} of them went on where they had stopped")
    assert not [path for path in home.rglob(".*") if path.name not in (".lock", ".in-use.lock")]

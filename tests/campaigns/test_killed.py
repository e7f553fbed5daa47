"""SIGKILL at random moments of a small study, then the same command again: the same evidence, and nothing left over."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faulty.studies import GRID, STUDY, alive, findings, make_home, marks, report, start, study

SHORT, FULL = 2, 100
ARGV = (*STUDY, *GRID, "--variants", "faulty-healthy,ort-fp32,ort-int8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def whole(home: Path) -> tuple[float, dict[str, Any]]:
    """How long the study takes with artifacts cached, and its report."""
    study(home, "healthy ort-fp32 ort-int8", "--out", "first")
    begin = time.monotonic()
    assert start(home, *ARGV, "--out", "whole").end().code == 0
    return time.monotonic() - begin, report(home / "whole")


def test_a_killed_study_goes_on_to_the_same_evidence(
    home: Path, whole: tuple[float, dict[str, Any]], full: bool
) -> None:
    length_s, expected = whole
    moments = random.Random(20261124)
    resumed = 0
    for trial in range(FULL if full else SHORT):
        out = f"trial-{trial}"
        killed = start(home, *ARGV, "--out", out)
        time.sleep(moments.uniform(0.1, length_s))
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.communicate(timeout=60)
        deadline = time.monotonic() + 10
        while alive(killed.mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert alive(killed.mark) == [], f"trial {trial}: a process outlived its study"
        if (home / out / "report.json").is_file():  # it was quicker than the signal
            again = start(home, *ARGV, "--out", out, "--fresh").end()
        else:
            again = start(home, *ARGV, "--out", out).end()  # and checks that no temporary file is left
        assert again.code == 0, f"trial {trial}: {again.stderr}"
        resumed += "resuming" in again.stderr
        assert findings(report(home / out)) == findings(expected), f"trial {trial}"
        assert marks(report(home / out)) == marks(expected)
    assert resumed > 0

"""The commands that are named are those that the user can type: however the program was started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isobatch import PROGRAM, STARTED_AS
from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent

SAYS = "import isobatch; print(isobatch.PROGRAM)"


def printed(argv: list[str], told: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), STARTED_AS: told}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=ENDS_S, check=True)
    return done.stdout


@pytest.mark.parametrize("told", ["", "isobatch"])
def test_usage_and_remedies_name_what_was_typed(tmp_path: Path, told: str) -> None:
    command = tmp_path / "isobatch"  # as pip writes it
    command.write_text("from isobatch.program import command\ncommand()\n")
    ways = {
        "python run.py": [str(ROOT / "run.py")],
        "python -m isobatch": ["-m", "isobatch"],
        "isobatch": [str(command)],
    }
    for named, typed in ways.items():
        usage = printed([sys.executable, *typed, "help", "--help"], told)
        assert usage.startswith(f"usage: {named} help "), usage
        assert f"See {named} --list-variants." in printed([sys.executable, *typed, "help", "unknown-variant"], told)


def test_a_worker_says_what_its_parent_was_and_a_library_what_starts_it_from_here() -> None:
    assert printed([sys.executable, "-c", SAYS], "python -m isobatch").strip() == "python -m isobatch"
    assert printed([sys.executable, "-c", SAYS], "rm -rf").strip() == PROGRAM == "python run.py"

"""A Python without the packages of requirements.txt is told so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent


def line_of(folder: Path, module: str, text: str, *argv: str) -> str:
    """The one line with which the program ends where importing ``module`` runs this text. Its exit code is 4."""
    (folder / f"{module}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    return line


def test_libraries_of_another_version_are_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    broken = "raise ImportError('libc10.so: undefined symbol: _ZN3c105ErrorC2')\n"
    line = line_of(tmp_path, "torch", broken, "--variants", "fp32", "--quiet", "--out", "run")
    assert line.startswith("error [libraries]: ") and "undefined symbol" in line and "requirements.txt" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["--list-variants", "doctor"])
def test_a_missing_package_is_one_line_that_says_what_to_do(tmp_path: Path, command: str) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'pydantic'\", name='pydantic')\n"
    line = line_of(tmp_path, "pydantic", absent, command)
    assert line.startswith("error [missing-package]: No module named 'pydantic'") and "requirements.txt" in line


def test_a_misspelt_module_of_the_program_itself_is_no_missing_package(tmp_path: Path) -> None:
    """To install packages would not help whoever writes a plug-in."""
    line = line_of(tmp_path, "pydantic", "import isobatch.no_such_module\n", "--list-variants")
    assert line == "error [internal]: No module named 'isobatch.no_such_module' (--debug shows where)"

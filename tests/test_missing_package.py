"""A Python without the packages of requirements.txt is told so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parent.parent


def test_libraries_of_another_version_are_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libc10.so: undefined symbol: _ZN3c105ErrorC2')\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--variants", "fp32", "--quiet", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith("error [libraries]: ") and "undefined symbol" in line and "requirements.txt" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("argv", [["--list-variants"], ["doctor"]])
def test_a_missing_package_is_one_line_that_says_what_to_do(tmp_path: Path, argv: list[str]) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'pydantic'\", name='pydantic')\n"
    (tmp_path / "pydantic.py").write_text(absent)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *argv],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith("error [missing-package]: No module named 'pydantic'") and "requirements.txt" in line


def test_a_misspelt_module_of_the_program_itself_is_no_missing_package(tmp_path: Path) -> None:
    """To install packages would not help whoever writes a plug-in."""
    (tmp_path / "pydantic.py").write_text("import isobatch.no_such_module\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--list-variants"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_S,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 4
    assert done.stderr == "error [internal]: No module named 'isobatch.no_such_module' (--debug shows where)\n"

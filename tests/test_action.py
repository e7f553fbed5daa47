"""The GitHub Action: its own script, run as a runner runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from isobatch.reports.files.json_report import study_json
from tests.reports.studies import full

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "action.yml").read_text()


def script() -> str:
    """The last ``run: |`` of the file, without its indentation."""
    lines = TEXT.split("run: |\n")[1].splitlines()
    return "\n".join(line.removeprefix("        ") for line in lines)


def ran(folder: Path, command: str, arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COMMAND": command,
        "ARGUMENTS": arguments,
        "JUNIT": "junit.xml",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output"),
    }
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script()]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_compares_two_runs_and_shows_it_in_the_summary(tmp_path: Path) -> None:
    for name in ("run a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(study_json(full()))
    done = ran(tmp_path, "compare", "'run a' b")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == "exit-code=0\n"
    shown = (tmp_path / "summary.md").read_text()
    assert shown.startswith("## ") and "| Variant |" in shown and "```text" not in shown and done.stdout
    assert int(ElementTree.parse(tmp_path / "junit.xml").getroot().attrib["tests"]) > 1


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("verify", "folder", "command is check or compare"),
        ("check", "nothing.onnx; touch broken", "broken"),
        ("check", "$(touch broken)", "broken"),
    ],
)
def test_what_its_inputs_hold_is_data(tmp_path: Path, command: str, arguments: str, said: str) -> None:
    done = ran(tmp_path, command, arguments)
    assert done.returncode == 2 and said in done.stderr
    assert not (tmp_path / "broken").exists()


def test_inputs_reach_the_script_by_the_environment_only() -> None:
    assert "${{" not in script()
    assert re.search(r"ARGUMENTS: \$\{\{ inputs\.arguments \}\}", TEXT)

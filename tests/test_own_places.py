"""Whoever starts the tests keeps the own cache, home and temporary folder as they were, whatever their locale."""

import locale
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from isobatch.pipeline.storage.places import cache_root
from tests.waiting import ENDS_S

ROOT = Path(__file__).resolve().parents[1]
STUDY = "tests/test_run.py::test_which_sizes_a_network_takes_is_asked_once"
WHERE = "import locale, pathlib, tempfile; print(tempfile.gettempdir(), pathlib.Path.home(), locale.getencoding())"


def test_tests_and_their_processes_have_places_of_their_own(tmp_path: Path) -> None:
    own = Path(os.environ["HOME"]).parent
    said = subprocess.run([sys.executable, "-c", WHERE], cwd=tmp_path, capture_output=True, text=True, check=True)
    here = f"{tempfile.gettempdir()} {Path.home()} {locale.getencoding()}"
    assert said.stdout.strip() == here == f"{own / 'tmp'} {own / 'home'} UTF-8"
    assert cache_root() == Path.cwd() / "out" / "cache"


def test_nothing_is_written_where_their_user_keeps_things(tmp_path: Path) -> None:
    theirs = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME")}
    for folder in theirs.values():
        folder.mkdir()
    others = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TMPDIR": str(tmp_path)}
    tests = ("tests/test_own_places.py::test_tests_and_their_processes_have_places_of_their_own", STUDY)
    argv = [sys.executable, "-m", "pytest", *tests]
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}  # which writes a file
    env |= {**{name: str(folder) for name, folder in theirs.items()}, **others}
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=ENDS_S, env=env)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    assert [list(folder.iterdir()) for folder in theirs.values()] == [[]] * len(theirs)
    left = {path.name for path in tmp_path.iterdir()} - set(theirs)
    assert all(name.startswith("pytest-of-") for name in left), left

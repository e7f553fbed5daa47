"""What several benchmarks do: run run.py, and prepare a network's artifacts in this process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare.artifacts import build_artifacts
from isobatch.pipeline.prepare.network import prepare_network
from isobatch.pipeline.prepare.run_folder import open_run
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.engines.local import LocalEngine
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.records.study import Timing
from isobatch.pipeline.storage.places import cache_root
from isobatch.reports.files.json_report import load_study
from isobatch.reports.screen.progress import ScreenProgress

ROOT = Path(__file__).resolve().parent.parent
RUN = (sys.executable, str(ROOT / "run.py"))
SAMPLE = ROOT / "reports" / "sample" / "report.json"


def timed(argv: Sequence[str], cwd: Path = ROOT, cache: Path | None = None) -> float:
    """Wall seconds of one run of run.py, with its ``cache``. Raises RuntimeError where it did not end as finished."""
    env = os.environ | ({"XDG_CACHE_HOME": str(cache)} if cache else {})
    begin = time.perf_counter()
    done = subprocess.run([*RUN, *argv], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"run.py {' '.join(argv)} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - begin


def followed(argv: Sequence[str], cwd: Path, cache: Path) -> list[tuple[float, str]]:
    """The lines of progress of one run of run.py with the seconds since its start; the last is its end.

    Raises RuntimeError as ``timed`` does.
    """
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    begin, lines = time.perf_counter(), list[tuple[float, str]]()
    command = [*RUN, *argv]
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stderr is not None
        for text in process.stderr:
            lines.append((time.perf_counter() - begin, text.rstrip()))
    lines.append((time.perf_counter() - begin, "the end"))
    if process.returncode not in (0, 1, 3):
        raise RuntimeError(f"run.py {' '.join(argv)} ended with {process.returncode}: {lines[-2:]}")
    return lines


def timing_of(run: Path) -> Timing:
    """What the report of a finished run says of its time."""
    timing = load_study(run).timing
    assert timing is not None  # of a finished run
    return timing


@contextmanager
def prepared(variants: str, patience_s: float, **settings: Any) -> Iterator[Stages]:
    """A study of these variants up to its artifacts; its run is removed at the end."""
    with tempfile.TemporaryDirectory() as folder, ScreenProgress(quiet=False, stream=sys.stderr) as progress:
        config = Config(tuple(variants.split(",")), threads=(2,), out=f"{folder}/run", **settings)
        with Workers(patience_s) as workers, closing(open_run(config)) as run:
            stages = Stages(config, run, cache_root(), workers, progress, LocalEngine(workers, 1))
            prepare_network(stages)
            build_artifacts(stages)
            yield stages

"""What all tests share: places of their own, and which of them a run takes.

``--full``: the campaigns at their whole length, as ``make test-full`` runs them. ``--extras``: the tests marked so and
no others, as ``make test-extras`` runs them. Tests of a GPU run where one is.
"""

import locale
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import hypothesis
import pytest

from isobatch.pipeline.processes import pool
from isobatch.pipeline.processes.pool import Workers
from tests.in_process import Commands
from tests.waiting import ENDS_S

hypothesis.settings.register_profile(  # the same examples every time, however slow the machine is
    "no-chance", deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
hypothesis.settings.load_profile("no-chance")


@cache
def missing_gpu() -> str | None:
    """Why tests marked ``gpu`` cannot run here; None where they can."""
    from isobatch.models.pytorch.device.cuda import why_not  # torch is loaded only where such a test was chosen

    missing = why_not()
    return missing and missing[0]


OWN = {"HOME": "home", "TMPDIR": "tmp"}
"""Variables that name a folder, and the name of the tests' own."""
USERS = ("XDG_", "TORCH_HOME", "LC_", "LANG", "PYTHONIOENCODING", "PYTHONUTF8", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
"""How the names of variables begin that belong to whoever starts the tests, and say nothing to them."""


@contextmanager
def own_places() -> Iterator[None]:
    """The tests, and all processes that they start, have a home, a temporary folder, a cache and a locale of their own.

    Without ``XDG_CACHE_HOME`` a study keeps its cache in the folder that it is started in. The path is short, for the
    names of sockets, and the folder of ``tmp_path`` stays where pytest keeps it.
    """
    root = Path(tempfile.mkdtemp(prefix="tests-"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(USERS)}
    for name, folder in OWN.items():
        (root / folder).mkdir()
        kept[name] = str(root / folder)
    pytests = {"PYTEST_DEBUG_TEMPROOT": tempfile.gettempdir()}
    spoken = locale.setlocale(locale.LC_ALL)
    with (
        mock.patch.dict(os.environ, {**kept, "LC_ALL": "C.UTF-8", **pytests}, clear=True),
        mock.patch.object(tempfile, "tempdir", None),
    ):
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
        yield
    locale.setlocale(locale.LC_ALL, spoken)
    shutil.rmtree(root, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Before a test is imported: some libraries write when they are.

    Whoever starts the tests may block signals, or ignore the ends of his children; both are inherited.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stack = ExitStack()
    stack.enter_context(own_places())
    config.add_cleanup(stack.close)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to another run: a test that is not chosen is not counted as skipped."""
    extras, full = bool(config.getoption("--extras")), bool(config.getoption("--full"))

    def belongs(item: pytest.Item) -> bool:
        marks = {mark.name for mark in item.iter_markers()}
        return ("extras" in marks) == extras and ("full" not in marks or full)

    left_out = [item for item in items if not belongs(item)]
    items[:] = [item for item in items if belongs(item)]
    config.hook.pytest_deselected(items=left_out)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := missing_gpu()):
        pytest.skip(f"needs a GPU: {reason}")


@pytest.fixture(autouse=True)
def memory_without_limit() -> Iterator[None]:
    """What a worker's function sets for its whole process ends with the test that calls it here."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the campaigns of tests/campaigns at their whole length")
    parser.addoption("--extras", action="store_true", help="run the tests of optional packages, and no others")
    parser.addoption(
        "--part", default="1/1", help="of a full campaign that can be cut: 2/5 is the second of five parts"
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the campaigns run at their whole length."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def launchers() -> Iterator[Workers]:
    """Workers whose launchers live as long as the session: the libraries load once for all that borrow them."""
    with _Warm(ENDS_S) as warm:
        yield warm


class _Warm(Workers):
    """Workers whose launchers, and no others, load what tests use again and again."""

    def launcher(self, environment: Mapping[str, str]) -> pool.Launcher:
        with mock.patch.object(pool, "PRELOAD", "tests.warm"):
            return super().launcher(environment)


@pytest.fixture(scope="session")
def commands(launchers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """Commands of ``run.py`` in this process, which find what one of them has built in one cache.

    Where a cache is to be empty, a test names its own by ``XDG_CACHE_HOME``.
    """
    return Commands(launchers, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest, full: bool) -> Callable[[str], None]:
    """Print a line with what a full campaign counted, past pytest's capture."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def write(text: str) -> None:
        if full and reporter and capture:
            with capture.global_and_fixture_disabled():
                reporter.write_line(text)

    return write


@pytest.fixture(scope="session")
def part(request: pytest.FixtureRequest) -> Callable[[int], range]:
    """From the number of a campaign's trials to those that this run is to make."""
    number, of = map(int, str(request.config.getoption("--part")).split("/"))
    return lambda trials: range(number - 1, trials, of)

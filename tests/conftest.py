"""``--full``: the campaigns at their whole length, as ``make test-full`` runs them. Tests of a GPU, where one is."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from isobatch.pipeline.workers.pool import Workers
from tests.in_process import Commands


@cache
def missing_gpu() -> str | None:
    """Why tests marked ``gpu`` cannot run here; None where they can."""
    from isobatch.models.pytorch.device.cuda import why_not  # torch is loaded only where such a test was chosen

    missing = why_not()
    return missing and missing[0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := missing_gpu()):
        pytest.skip(f"needs a GPU: {reason}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the campaigns of tests/campaigns at their whole length")
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
    with Workers(300.0) as found:
        yield found


@pytest.fixture(scope="session")
def commands(launchers: Workers) -> Commands:
    """Commands of ``run.py`` in this process."""
    return Commands(launchers)


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest, full: bool) -> Callable[[str], None]:
    """Print a line with what a full campaign counted, past pytest's capture."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    return reporter.write_line if full and reporter else lambda text: None


@pytest.fixture(scope="session")
def part(request: pytest.FixtureRequest) -> Callable[[int], range]:
    """From the number of a campaign's trials to those that this run is to make."""
    number, of = map(int, str(request.config.getoption("--part")).split("/"))
    return lambda trials: range(number - 1, trials, of)

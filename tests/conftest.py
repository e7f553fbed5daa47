"""``--full``: the campaigns at their whole length, as ``make test-full`` runs them."""

from collections.abc import Iterator

import pytest

from tests.in_process import Commands


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the campaigns of tests/campaigns at their whole length")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the campaigns run at their whole length."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Commands of ``run.py`` in this process; their launchers live as long as the session."""
    found = Commands()
    yield found
    found.close()

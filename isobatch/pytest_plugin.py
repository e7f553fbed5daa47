"""A pytest plugin: the fixture ``assert_batch_invariant``, and options that set its batch sizes and tolerance.

pytest finds it by its entry point wherever Isobatch is installed. It loads no runtime before the fixture is called.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

SIZES = "--isobatch-batch-sizes"
TOLERANCE = "--isobatch-tolerance"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both options, on the command line and in the ini file."""
    group = parser.getgroup("isobatch")
    group.addoption(SIZES, metavar="N", help="batch sizes that assert_batch_invariant tries, such as 2-8 or 2,4,16")
    group.addoption(
        TOLERANCE, type=float, metavar="R", help="a difference to let pass, over the largest output (default 0: none)"
    )
    parser.addini("isobatch_batch_sizes", f"as {SIZES}", default="")
    parser.addini("isobatch_tolerance", f"as {TOLERANCE}", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse settings that are no numbers before any test runs. Raises pytest.UsageError: which one, why, a remedy."""
    from isobatch.pipeline.records.errors import UsageError

    try:
        _sizes(config)
        _tolerance(config)
    except UsageError as error:
        text = f"{error}: give batch sizes such as 2-8 or 2,4,16, a tolerance such as 1e-6, or leave the setting out"
        raise pytest.UsageError(text) from None


def _sizes(config: pytest.Config) -> tuple[int, ...] | None:
    from isobatch.pipeline.config.numbers import numbers

    stated, text = config.getoption(SIZES), _text(config, "isobatch_batch_sizes")
    return numbers(SIZES if stated else "isobatch_batch_sizes", stated or text) if stated or text else None


def _tolerance(config: pytest.Config) -> float:
    from isobatch.pipeline.config.numbers import real_number

    stated: float | None = config.getoption(TOLERANCE)
    if stated is None:
        stated = real_number("isobatch_tolerance", _text(config, "isobatch_tolerance") or None)
    return stated or 0.0


def _text(config: pytest.Config, name: str) -> str:
    """A setting as it is written; a TOML file may hold numbers and lists."""
    value = config.getini(name)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.fixture
def assert_batch_invariant(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``assert_batch_invariant(network, inputs)`` of ``isobatch``, with the options as its defaults."""
    sizes, tolerance = _sizes(request.config), _tolerance(request.config)

    def check(
        network: Any, inputs: Any, batch_sizes: Iterable[int] | None = None, *, relative_tolerance: float = tolerance
    ) -> None:
        __tracebackhide__ = True
        from isobatch.pipeline.testing import assert_batch_invariant

        tried = sizes if batch_sizes is None else batch_sizes
        assert_batch_invariant(network, inputs, tried, relative_tolerance=relative_tolerance)

    return check

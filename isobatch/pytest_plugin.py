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
    group.addoption(TOLERANCE, metavar="R", help="a difference to let pass, over the largest output (default 0: none)")
    parser.addini("isobatch_batch_sizes", f"as {SIZES}", type="linelist", default=[])
    parser.addini("isobatch_tolerance", f"as {TOLERANCE}", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse settings that say no numbers before any test runs. Raises pytest.UsageError: which one, why, a remedy."""
    from isobatch.pipeline.records.errors import UsageError

    for read, remedy in (
        (_sizes, "Batch sizes are written 2-8 or 2,4,16; left out, every one is tried"),
        (_tolerance, "Give one such as 1e-6, or leave it out"),
    ):
        try:
            read(config)
        except UsageError as error:
            raise pytest.UsageError(f"{error}. {remedy}") from None


def _sizes(config: pytest.Config) -> tuple[int, ...] | None:
    from isobatch.pipeline.config.numbers import batches, numbers

    name, text = _stated(config, SIZES, "isobatch_batch_sizes")
    return tuple(batches(numbers(name, text), "example", name)) if text else None


def _tolerance(config: pytest.Config) -> float:
    from isobatch.pipeline.config.numbers import real_number

    name, text = _stated(config, TOLERANCE, "isobatch_tolerance")
    return real_number(name, text or None) or 0.0


def _stated(config: pytest.Config, option: str, setting: str) -> tuple[str, str]:
    """What says it, the option or the setting, and its text; "" where neither does. TOML may hold numbers and lists."""
    if stated := config.getoption(option):
        return option, stated
    try:
        value = config.getini(setting)
    except TypeError as error:  # of pytest, for another type in a TOML file
        from isobatch.pipeline.records.errors import UsageError

        raise UsageError("usage", f"{setting}: {error}") from None
    return setting, ",".join(map(str, value)) if isinstance(value, list) else str(value)


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

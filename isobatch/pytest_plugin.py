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


@pytest.fixture
def assert_batch_invariant(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``assert_batch_invariant(network, inputs)`` of ``isobatch``, with the options as its defaults."""
    sizes = request.config.getoption(SIZES) or request.config.getini("isobatch_batch_sizes")
    stated = request.config.getoption(TOLERANCE)
    tolerance = float(stated if stated is not None else request.config.getini("isobatch_tolerance") or 0.0)

    def check(
        network: Any, inputs: Any, batch_sizes: Iterable[int] | None = None, *, relative_tolerance: float = tolerance
    ) -> None:
        __tracebackhide__ = True
        from isobatch.pipeline.config.numbers import numbers
        from isobatch.pipeline.testing import assert_batch_invariant

        tried = batch_sizes if batch_sizes is not None else numbers(SIZES, sizes) if sizes else None
        assert_batch_invariant(network, inputs, tried, relative_tolerance=relative_tolerance)

    return check

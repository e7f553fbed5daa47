"""``run.py`` without starting a Python for it: commands one after the other, with launchers that outlive a study.

A command as a user starts it costs seconds before it does anything: an interpreter, the libraries of a launcher, the
engine that draws. Where a test is not about that, its command runs here: the same ``main``, the same workers.
"""

import contextlib
import io
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import run
from isobatch.pipeline.deploy import command
from isobatch.pipeline.prepare import by_itself, device, own_arrays
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.study import study
from isobatch.pipeline.tools.check import run as check

_STARTING = (study, command, check, by_itself, own_arrays, device)
"""The modules that start workers."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


class Commands:
    """Runs commands with these workers' launchers. ``cache``: of all of them; None: of each, in its own folder."""

    def __init__(self, shared: Workers, cache: Path | None = None) -> None:
        self._shared = shared
        self.environment: dict[str, str] = {} if cache is None else {"XDG_CACHE_HOME": str(cache)}

    def __call__(self, cwd: Path, *argv: str, **environment: str) -> Ended:
        """Run ``run.py`` with these arguments in that folder."""
        environment = {**self.environment, **environment}
        said, complained = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(cwd),
            mock.patch.dict(os.environ, environment),
            contextlib.ExitStack() as stack,
            _signals_kept(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(complained),
        ):
            for module in _STARTING:
                stack.enter_context(mock.patch.object(module, "Workers", lending(self._shared)))
            try:
                code = run.main(list(argv))
            except SystemExit as end:  # --help and --version
                code = int(end.code or 0)
        return Ended(code, said.getvalue(), complained.getvalue())


def lending(shared: Workers) -> Callable[[float], Workers]:
    """What may stand in the place of ``Workers``, the class: workers in launchers that are there already, and stay."""
    return lambda timeout_s: _Borrowed(shared, timeout_s)


class _Borrowed(Workers):
    """The workers of one study, in launchers that belong to all."""

    def __init__(self, shared: Workers, timeout_s: float) -> None:
        self.__dict__ |= shared.__dict__ | {"timeout_s": timeout_s, "_open": {}}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

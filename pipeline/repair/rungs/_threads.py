"""What the rungs that run the native network on other threads share."""

from __future__ import annotations

from typing import Any

from isobatch.models.spec.repairable import Streaming
from isobatch.models.spec.runner import Runner

NO_THREADS = "its threads cannot be set"


def rethreadable(runner: Any) -> bool:
    """Whether this runner can be run on other threads than it was opened with."""
    return isinstance(runner, Streaming)


def on_streams(streams: int, runner: Any) -> Runner:
    """The runner with one thread inside operators; with several streams, so many images at a time, each alone."""
    changed: Runner = runner.with_threads(1, streams)
    return changed

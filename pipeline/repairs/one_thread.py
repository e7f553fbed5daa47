"""The native network with one thread: no partition of the work can depend on N."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from models.repairable import Streaming
from models.spec import Runner
from pipeline.repairs import Bench, Candidate

NAME = "one-thread"
ORDER = 40
QUESTION = "Is the network batch-invariant with one thread?"


def applies_to(bench: Bench) -> str:
    """Needs several threads to give up."""
    if bench.threads == 1:
        return "it runs on one thread already"
    return "" if isinstance(bench.runner, Streaming) else "its threads cannot be set"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The one way."""
    yield Candidate(partial(_single, 1), "one thread", serving={"threads": 1})


def _single(streams: int, runner: Any) -> Runner:
    found: Runner = runner.with_threads(1, streams)
    return found

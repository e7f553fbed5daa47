"""Another variant, which is batch-invariant as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from models.spec import Runner
from pipeline.repairs import Bench, Candidate

NAME = "switch"
ORDER = 80
QUESTION = "What does it cost to change to a variant that is batch-invariant already?"


def applies_to(bench: Bench) -> str:
    """Needs such a variant."""
    return "" if bench.switch_to else "no variant of this study is known to be batch-invariant on the same images"


def apply(bench: Bench) -> Iterator[Candidate]:
    """The variants in the order given."""
    for name, opens in bench.switch_to.items():
        yield Candidate(partial(_other, opens), f"{name} in its place")


def _other(opens: Callable[[], Runner], runner: Any) -> Runner:
    return opens()

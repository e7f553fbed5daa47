"""The known name that an unknown one is most like, for "did you mean"."""

import difflib
from collections.abc import Iterable

CLOSE = 0.6
"""How alike a mistyped name is at least, of 1 for the same."""


def nearest(name: str, known: Iterable[str], least: float = 0.0) -> str:
    """The known name that is most like it; "" where none is as alike as ``least``."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=least)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'fp32'?``"""
    return f"did you mean {nearest(name, known)!r}?"

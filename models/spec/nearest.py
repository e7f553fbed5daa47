"""The known name that an unknown one is most like, for "did you mean"."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The most similar of at least one known name, however far off."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'fp32'?``"""
    return f"did you mean {nearest(name, known)!r}?"

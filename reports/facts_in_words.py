"""Settings and recipes, which are stored as data, in words: what Python or JSON would write is for programs."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isobatch.reports.numbers import batch_sizes

NOT_SET = "not set"


def as_set(value: float) -> str:
    """A number as somebody set it: ``60``, ``0.125``."""
    return f"{value:g}"


def in_words(value: Any, real: Callable[[float], str] = as_set) -> str:
    """A stored value: ``yes``, ``not set``, ``2 to 4, 8 and 16``, ``type: int8; symmetric: yes``; text as it is.

    ``real``: the text of a number that is not whole. Of a group only what is set.
    """
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return real(value) if math.isfinite(value) else str(value)  # which is how report.json has it
    if isinstance(value, Mapping):
        return "; ".join(facts({name: part for name, part in value.items() if part is not None}, real)) or NOT_SET
    if isinstance(value, list | tuple):
        rising = all(type(part) is int for part in value) and list(value) == sorted(set(value))
        rising &= len(value) != 2  # which may be a height and a width
        return (batch_sizes(value) if rising else ", ".join(in_words(part, real) for part in value)) or "none"
    return str(value)


def facts(group: Mapping[str, Any], real: Callable[[float], str] = as_set, prefix: str = "") -> Iterator[str]:
    """One text a fact, ``name: value``; those of a group within have its name before theirs: ``weights.type: int8``."""
    for name, value in group.items():
        if isinstance(value, Mapping):
            yield from facts(value, real, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}: {in_words(value, real)}"

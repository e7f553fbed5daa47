"""Numbers that a flag was given as text. Each raises UsageError: which flag, what it was given, what it can be."""

from collections.abc import Iterable

from isobatch.pipeline.records.errors import UsageError

_LARGEST = 65536
SMALLEST = 32
"""Pixels of the smallest side that ``--image-size`` takes."""


LARGEST_SEED = 2**63 - 1
"""The largest that every generator of random numbers here takes."""
_MOST = 2**31 - 1
_WEEK_S = 7 * 24 * 3600.0


def whole(flag: str, text: str, least: int, most: int = _MOST) -> int:
    """A whole number from ``least`` to ``most``."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise UsageError("bad-number", f"{flag} {text!r} is not a whole number of at least {least}")
    if value > most:
        shown = text if len(text) <= 40 else f"{text[:20]}... ({len(text)} digits)"
        raise UsageError("bad-number", f"{flag} {shown!r} is above {most}, the most it can be: give a smaller one")
    return value


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(flag: str, text: str) -> float:
    """A time in seconds, above 0 and at most a week."""
    value = real_number(flag, text) or 0.0
    if not 0 < value <= _WEEK_S:
        raise UsageError("bad-number", f"{flag} {text!r} must be above 0 and at most {_WEEK_S:.0f} seconds, a week")
    return value


def duration(flag: str, text: str) -> float:
    """Seconds of ``90``, ``90s``, ``2m`` or ``1.5h``, above 0 and at most a week."""
    number, unit = (text[:-1], text[-1]) if text and text[-1] in _UNITS else (text, "s")
    try:
        value = float(number) * _UNITS[unit]
    except ValueError:
        value = -1.0
    if not 0 < value <= _WEEK_S:
        raise UsageError("bad-number", f"{flag} {text!r} is no time above 0 and of at most a week: write 90s, 2m or 1h")
    return value


def real_number(flag: str, text: str | None) -> float | None:
    """A number of at least 0; None where the flag was not given."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError("bad-number", f"{flag} {text!r} is not a number of at least 0")
    return value


def numbers(flag: str, text: str, largest: int = _LARGEST) -> tuple[int, ...]:
    """``2,4,8`` or ``1-32`` as sorted distinct numbers."""
    values: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            first, last = int(low), int(high if dash else low)
        except ValueError:
            raise UsageError("bad-number", f"{flag} {text!r}: {part.strip()!r} is not a number or range") from None
        if not 1 <= first <= last <= largest:
            raise UsageError("bad-number", f"{flag} {text!r}: {part.strip()!r} must lie in 1 to {largest}, rising")
        values.update(range(first, last + 1))
    return tuple(sorted(values))


def limited(flag: str, text: str, largest: int) -> tuple[int, ...]:
    """As ``numbers``, of a command that runs ``largest`` at most."""
    values = numbers(flag, text)
    if values[-1] > largest:
        raise UsageError("bad-number", f"{flag} {text!r}: {values[-1]} is above {largest}, the most this command runs")
    return values


def batches(sizes: Iterable[int], what: str = "image", flag: str = "--batch-sizes") -> list[int]:
    """The N above 1. Raises UsageError where there is none, and nothing to compare one ``what`` alone with."""
    if larger := [n for n in sizes if n > 1]:
        return larger
    raise UsageError("bad-number", f"{flag} names only 1, the {what} alone: give one to compare it with, as 2,8")

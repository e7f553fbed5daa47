"""The text of numbers, lists, conditions and states: one place decides it, for sentences, tables and pages."""

import math
import re
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal, TypeVar

from isobatch.pipeline.records.study import COPIES, Condition, Interval, Repair

Toward = Literal["nearest", "down", "up"]
"""Where the last printed digit goes: ``nearest`` of an estimate, ``down`` of a lower bound, ``up`` of an upper one."""

K = TypeVar("K")
V = TypeVar("V")

_IMAGE = re.compile(r"(?<![-\w.'\"/])(?<!images of )(I|i)mage(s?)(?![-\w\"/=]|'(?!s\b)|\.\w| sizes?\b)|\bimg(/s)\b")
_PIXELS = re.compile(r"(?:,| at) \d+(?:(?:, \d+)* and \d+)? (?:px|pixels)\b")
SIGNED_ZERO = "by their bytes only: 0.0 against -0.0"
NOT_ALIKE = "by more than a number tells: rows of another shape or type, or NaN"
FAR_APART_ULP = 2**23
"""From so many representable values on a distance is no rounding: so many lie between a float32 and its double."""


def listed(items: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def together(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """By each key all of its values, both in the order in which they came: what is said of several is said once."""
    by_key: dict[K, list[V]] = {}
    for key, value in pairs:
        by_key.setdefault(key, []).append(value)
    return by_key


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """``1 image``, ``2 images``, ``1,000 images``, ``2 classes``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def counted_comparisons(batches: int, repeats: int = 0) -> str:
    """Of what comparisons are: ``14 batched comparisons, 4 repeats``."""
    return counted(batches, "batched comparison") + (f", {counted(repeats, 'repeat')}" if repeats else "")


def of_inputs(text: str) -> str:
    """The same prose on a network that takes no pictures: ``16 inputs``, ``an input``, ``inputs/s``; names stay, and a
    size in pixels is left out."""
    text = _PIXELS.sub("", text)
    return _IMAGE.sub(lambda match: f"inputs{match[3]}" if match[3] else f"{match[1]}nput{match[2]}", text)


def clause(sentence: str) -> str:
    """A sentence as a part of another: without its capital and its full stop."""
    return f"{sentence[:1].lower()}{sentence[1:].rstrip('.')}"


def out_of(part: int, whole: int, noun: str, verb: str = "") -> str:
    """``1,200 of 50,000 images``; with a verb ``1 of 16 images differs``, ``2 of 16 images differ``."""
    return f"{part:,} of {counted(whole, noun)}{f' {agreeing(part, verb)}' if verb else ''}"


def agreeing(n: int, verb: str) -> str:
    """The verb as so many of them do it: ``differ`` and ``differs``, ``have`` and ``has``, ``were`` and ``was``."""
    return verb if n != 1 else {"have": "has", "were": "was"}.get(verb, f"{verb}s")


def rounded(value: float, decimals: int, toward: Toward) -> float:
    """A bound at so many decimals (negative: before the point), so that what is printed of it holds: the one place
    that decides it. An estimate, which goes to the ``nearest``, is left to its format.

    Of 12 digits: what a computation leaves behind them is none of the bound's, and 2 % stay 2 %.
    """
    if toward == "nearest" or not math.isfinite(value):
        return value
    exact, last = Decimal(f"{value:.12g}"), Decimal(1).scaleb(-decimals)
    if int(exact.as_tuple().exponent) >= -decimals:
        return float(exact)
    return float(exact.quantize(last, ROUND_CEILING if toward == "up" else ROUND_FLOOR)) + 0.0  # no -0


def significant(value: float, digits: int, toward: Toward, least: float = -math.inf) -> float:
    """As ``rounded``, at so many significant digits, and at ``least`` decimals: 0 drops none before the point."""
    if value == 0 or not math.isfinite(value):
        return value
    exponent = math.floor(math.log10(abs(value)))
    return rounded(value, int(max(digits - 1 - exponent, least)), toward)


def between(low: float, high: float, text: Callable[[float, Toward], str]) -> str:
    """An interval, its low end rounded down and its high end up: ``0.95 to 1.49``."""
    return f"{text(low, 'down')} to {text(high, 'up')}"


def with_limits(interval: Interval, text: Callable[[float, Toward], str]) -> str:
    """``123 (120 to 130)``; the median alone where it has no limits."""
    low, high = interval.low95, interval.high95
    return text(interval.median, "nearest") + ("" if low is None or high is None else f" ({between(low, high, text)})")


def number(value: float, toward: Toward = "nearest") -> str:
    """Three significant digits: ``0.123``, ``3.81e-06``, ``171``, ``nan``."""
    value = significant(value, 3, toward, 0 if abs(value) < 1e7 else -math.inf)
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e7 else f"{value:.3g}"


def non_finite(value: float) -> str | None:
    """The word for NaN or an infinity, None for a finite number."""
    if math.isnan(value):
        return "NaN"
    return None if math.isfinite(value) else ("infinite" if value > 0 else "minus infinite")


def percent(share: float, digits: int = 1, toward: Toward = "nearest") -> str:
    """A share as a percentage with that many decimals: ``98.2 %``. An estimate is never rounded to 100 or to 0."""
    if word := non_finite(share):
        return word
    if toward != "nearest":
        return f"{rounded(100 * share, digits, toward):.{digits}f} %"
    text = f"{100 * share:.{digits}f}"
    if share < 1 and float(text) >= 100:
        return f"over {100 - 10**-digits:.{digits}f} %"
    if share > 0 and float(text) <= 0:
        return f"under {10**-digits:.{digits}f} %"
    return f"{text} %"


def percent_interval(low: float, high: float) -> str:
    """An interval of shares: ``96.4 % to 99.1 %``."""
    return between(low, high, lambda share, toward: percent(share, toward=toward))


def two_decimals(value: float, toward: Toward = "nearest") -> str:
    """A ratio of times or speeds: ``1.05``, ``0.0412``."""
    return f"{rounded(value, 2, toward):.2f}" if 0.1 <= value < 1000 else non_finite(value) or number(value, toward)


def points(share: float, toward: Toward = "nearest") -> str:
    """A difference of two shares, in percentage points: 0.0119 is ``1.19 points``, 0.134 is ``13.4 points``.

    A bound has two decimals at any size, as limits have: one that is met is printed within them.
    """
    if word := non_finite(share):
        return word
    digits = 2 if abs(share) < 0.09995 or toward != "nearest" else 1
    text = f"{rounded(100 * share, digits, toward):.{digits}f}".rstrip("0").rstrip(".")
    text = "0" if text == "-0" else text
    return f"{text} point{'' if text == '1' else 's'}"


def limit_points(points_: float) -> str:
    """A limit that was set, in points, as it was set: ``2 points``, ``0.125 points``."""
    return f"{points_:g} point{'' if points_ == 1 else 's'}"


def batch_classes(classes: Iterable[Iterable[int]]) -> str:
    """Classes of batch sizes: ``{1} {2 to 4, 8}``."""
    return " ".join(f"{{{', '.join(_runs(members))}}}" for members in classes)


def batch_sizes(sizes_: Iterable[int]) -> str:
    """``2``, ``2 and 4``, ``2 to 4, 8 and 16``: three or more in a row are shortened."""
    return listed(parts) if (parts := _runs(sizes_)) else ""


def runs(sizes_: Iterable[int]) -> list[list[int]]:
    """The numbers, rising, those in a row together."""
    rows: list[list[int]] = []
    for n in sorted(set(sizes_)):
        if rows and rows[-1][-1] == n - 1:
            rows[-1].append(n)
        else:
            rows.append([n])
    return rows


def _runs(sizes_: Iterable[int]) -> list[str]:
    return [part for run in runs(sizes_) for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]


def sizes(sizes_: Iterable[int]) -> str:
    """``N = 2, 4 and 8``, ``N = 2 to 32``: see ``batch_sizes``."""
    return f"N = {batch_sizes(sizes_) or 'none'}"


def condition_words(condition: Condition, pixels: bool = False) -> str:
    """What is particular in a condition: ``2 threads, isa avx2, images rotated by 1``. ``pixels``: its size too."""
    parts = [counted(condition.threads, "thread")]
    if pixels:
        parts.append(f"{condition.image_size} px")
    if condition.isa != "native":
        parts.append(f"isa {condition.isa}")
    if condition.memory_format != "contiguous":
        parts.append(condition.memory_format)
    if condition.device != "cpu":
        parts += [part for part in (condition.device, str(condition.cuda or "")) if part]
    if condition.position:
        parts.append(f"images rotated by {condition.position}")
    if condition.neighbours == COPIES:
        parts.append("copies of one image")
    elif condition.neighbours != "natural":
        parts.append(
            f"beside an {condition.neighbours}" if condition.neighbours[0] in "aeiou" else condition.neighbours
        )
    return ", ".join(parts)


def held(repair: Repair) -> str:
    """What became of a rung of the ladder. ``failed``: it could not be carried out; that is not "does not apply"."""
    if repair.state == "fails" and repair.batch_invariant is None and repair.top1_stable is None:
        return "failed"
    return {
        "holds": "holds",
        "holds-top1": "top-1 holds",
        "fails": "does not hold",
        "out-of-time": "out of time",
        "not-tried": "not tried",
        "does-not-apply": "does not apply",
    }[repair.state]

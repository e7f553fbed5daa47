"""The text of numbers and lists in sentences: one place decides it."""

from __future__ import annotations

from collections.abc import Iterable

from isobatch.pipeline.records.study import COPIES, Condition, Repair

FAR_APART_ULP = 2**23
"""From so many representable values on a distance is no rounding: so many lie between a float32 and its double."""


def listed(items: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    words = list(items)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def counted(n: int, noun: str) -> str:
    """``1 image``, ``2 images``, ``1,000 images``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def out_of(part: int, whole: int, noun: str) -> str:
    """``1,200 of 50,000 images``."""
    return f"{part:,} of {counted(whole, noun)}"


def number(value: float) -> str:
    """Three significant digits: ``0.123``, ``3.81e-06``, ``171``, ``nan``."""
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e7 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share as ``2.5 %``."""
    return f"{share * 100:.3g} %"


def points(share: float) -> str:
    """A difference of two shares: 0.02 is ``2 points``."""
    text = f"{share * 100:.3g}"
    return f"{text} point{'' if text == '1' else 's'}"


def sizes(batch_sizes: Iterable[int]) -> str:
    """``N = 2, 4 and 8``; three or more in a row become ``2 to 32``."""
    runs: list[list[int]] = []
    for n in sorted(set(batch_sizes)):
        if runs and runs[-1][-1] == n - 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    parts = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    return f"N = {listed(parts)}"


def setting(condition: Condition) -> str:
    """What is particular in a condition: ``2 threads, isa avx2, images rotated by 1``."""
    parts = [counted(condition.threads, "thread"), f"isa {condition.isa}"]
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
        "out-of-time": "not tried",
        "does-not-apply": "does not apply",
    }[repair.state]

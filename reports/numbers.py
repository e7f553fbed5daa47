"""The unit and the text of a number in a table or a figure; what sentences need too is in ``records/wording.py``.

Every function returns plain text without markup. A value that was not measured is ``None`` and stays so (``known``):
how an absent value looks is the business of the format that draws it.
"""

import math
from collections.abc import Callable
from typing import TypeVar

from isobatch.pipeline.records.study import Interval
from isobatch.pipeline.records.wording import (
    FAR_APART_ULP,
    Toward,
    between,
    non_finite,
    rounded,
    significant,
    two_decimals,
    with_limits,
)
from isobatch.pipeline.records.wording import batch_classes as batch_classes
from isobatch.pipeline.records.wording import batch_sizes as batch_sizes
from isobatch.pipeline.records.wording import counted as counted
from isobatch.pipeline.records.wording import out_of as out_of
from isobatch.pipeline.records.wording import percent as percent
from isobatch.pipeline.records.wording import points as points

V = TypeVar("V")

_FEW_CALLS = 10
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def known(value: V | None, text: Callable[[V], str | None]) -> str | None:
    """The text of a value; None of one that was not measured."""
    return None if value is None else text(value)


def _significant(value: float, digits: int, toward: Toward = "nearest") -> str:
    """A finite number with at least that many significant digits and no exponent; none before the point is dropped."""
    if value == 0:
        return "0"
    value = significant(value, digits, toward, 0)
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.99 has two digits before the point
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def real(value: float, digits: int = 2, toward: Toward = "nearest") -> str:
    """A measure without a unit: ``1.9e-06``, ``0.012``, ``0``. Exponents below 0.001 and from 100,000 on."""
    if word := non_finite(value):
        return word
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{significant(value, digits, toward):.{digits - 1}e}"
    return _significant(value, digits, toward)


def difference(value: float) -> str:
    """A numeric difference, comparable at a glance over many decades: ``4.4e-03``, ``0.31``, ``0``."""
    if value == 0 or not math.isfinite(value) or abs(value) >= 0.1:
        return real(value)
    return f"{value:.1e}"


def count(value: int) -> str:
    """A whole number with thousands separated: ``1,797``."""
    return f"{value:,}"


def ulp(value: float) -> str:
    """A distance in representable values: ``974``. ``n/a`` from 2^23 on.

    So many lie between a float32 number and its double, and more before one of the other sign: such a distance is no
    rounding, and its size says nothing.
    """
    return "n/a" if FAR_APART_ULP <= value < math.inf else real(value)


def short_percent(share: float) -> str:
    """A share in as few characters as a narrow table has: ``100 %``, ``98.2 %``. Never rounded up to 100."""
    return "100 %" if share == 1 else percent(share) if share < 0.999 else "99.9 %"


def signed_points(share: float, toward: Toward = "nearest") -> str:
    """A change of a share in percentage points, without the unit: ``+0.4``, ``-1.2``, ``0.0``."""
    text = non_finite(share) or f"{rounded(100 * share, 1, toward):+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def margin(points_: float | None) -> str:
    """A margin to both sides, in points: ``±0.5 points``."""
    return "no margin" if points_ is None else f"±{points_:g} point{'' if points_ == 1 else 's'}"


def at_most(upper95: float) -> str:
    """An upper bound on a share, rounded up: ``at most 18 %`` of 0.171, ``at most 0.7 %``, ``at most 100 %``."""
    return f"at most {percent(upper95, 0 if upper95 >= 0.1 else 1, 'up')}"


def events(k: int, n: int, upper95: float | None) -> str:
    """Events among n with their one-sided 95 % bound: ``0 of 16 (at most 18 %)``. Never a bare zero."""
    return f"{count(k)} of {count(n)}" + ("" if upper95 is None else f" ({at_most(upper95)})")


def _spread(interval: Interval, text: Callable[[float, Toward], str]) -> str:
    low, high = interval.low95, interval.high95
    return "" if low is None or high is None else f" ({between(low, high, text)})"


def throughput(interval: Interval) -> str:
    """Images a second: ``171 img/s``."""
    return f"{rate(interval.median)} img/s"


def throughput_interval(interval: Interval) -> str:
    """Images a second with the 95 % limits of the median: ``171 img/s (168 to 174)``."""
    return throughput(interval) + throughput_limits(interval)


def throughput_limits(interval: Interval) -> str:
    """The 95 % limits of the median alone: `` (168 to 174)``; empty where there are none."""
    return _spread(interval, rate)


def rate(value: float, toward: Toward = "nearest") -> str:
    """So many a second: ``171``, ``165,432``; no exponent for what is fast."""
    return _significant(value, 3, toward) if 1e5 <= value < 1e9 else real(value, 3, toward)


def milliseconds(value_ms: float, toward: Toward = "nearest") -> str:
    """A duration given in milliseconds: ``12.3 ms``, ``850 µs``, ``1.20 s``."""
    if word := non_finite(value_ms):
        return word
    if value_ms >= 1000:
        return f"{_significant(value_ms / 1000, 3, toward)} s"
    if value_ms >= 1:
        return f"{_significant(value_ms, 3, toward)} ms"
    return f"{_significant(value_ms * 1000, 3, toward)} µs"


def latency_interval(interval: Interval) -> str:
    """A median duration with its 95 % limits: ``12.3 ms (12.0 to 12.8)``."""
    text, limits = milliseconds(interval.median), _spread(interval, milliseconds)
    unit = f" {text.split()[-1]}"
    return text + (limits.replace(unit, "") if limits.count(unit) == 2 else limits)


def seconds(value_s: float) -> str:
    """A duration given in seconds, as a person says it: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if word := non_finite(value_s):
        return word
    if value_s < 10:
        return f"{value_s:.1f} s"
    whole = round(value_s)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(n_bytes: int) -> str:
    """Bytes in decimal units: ``102 MB``."""
    power = min(len(_BYTE_UNITS) - 1, (len(str(abs(n_bytes))) - 1) // 3)
    return f"{_significant(n_bytes / 1000**power, 3)} {_BYTE_UNITS[power]}"


def ratio(value: float) -> str:
    """A ratio: ``9.30 x``."""
    return non_finite(value) or f"{two_decimals(value)} x"


def ratio_interval(interval: Interval) -> str:
    """A measured ratio with the 95 % limits of the median: ``0.99 x (0.97 to 1.01)``."""
    return ratio(interval.median) + (" (few calls)" if few_calls(interval) else _spread(interval, two_decimals))


def times(interval: Interval) -> str:
    """As ``ratio_interval`` where the words around it say that it is one: ``1.01 (1.00 to 1.05)``."""
    return with_limits(interval, two_decimals)


def few_calls(interval: Interval) -> bool:
    """Whether a handful of calls leaves limits so wide that they say nothing: beyond half or twice the median."""
    low, high = interval.low95, interval.high95
    if interval.n >= _FEW_CALLS or low is None or high is None or not math.isfinite(high - low):
        return False
    return high > 2 * interval.median or low < interval.median / 2


def one_of(rate: float) -> str:
    """A bound on a small rate, an upper one, as the number that one is of: 2.4e-9 is ``410,000,000``, rounded down."""
    if not (0 < rate <= 1) or 1 / rate > 1e15:
        return real(rate, toward="up")
    return count(math.floor(significant(1 / rate, 2, "down")))


def decibels(value: float) -> str:
    """A ratio of powers in decibel: ``33.1 dB``; of equal signals ``infinite``."""
    return non_finite(value) or f"{value:.1f} dB"

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.pipeline.records.study import Interval
from isobatch.reports import numbers

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 2, "0"),
        (-0.0, 2, "0"),
        (1.9e-6, 2, "1.9e-06"),
        (0.0123, 2, "0.012"),
        (0.000999, 2, "1.0e-03"),
        (3.14159, 3, "3.14"),
        (9.999, 3, "10.0"),
        (999.9, 3, "1,000"),
        (171.4, 3, "171"),
        (20833.3, 2, "20,833"),
        (99_999.9, 3, "100,000"),
        (1e300, 2, "1.0e+300"),
        (-0.5, 2, "-0.50"),
        (NAN, 2, "NaN"),
        (INF, 2, "infinite"),
        (-INF, 2, "minus infinite"),
    ],
)
def test_real(value: float, digits: int, text: str) -> None:
    assert numbers.real(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), (0.0, "0"), (974.0, "974"), (2**23 - 1, "8.4e+06"), (2.05e9, "n/a"), (INF, "infinite")],
)
def test_a_distance_beyond_all_rounding_is_not_counted_in_ulp(value: float | None, text: str | None) -> None:
    assert numbers.known(value, numbers.ulp) == text


def test_what_was_not_measured_stays_absent() -> None:
    assert numbers.known(None, numbers.count) is None and numbers.known(0, numbers.count) == "0"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (4.4e-3, "4.4e-03"), (0.099, "9.9e-02"), (0.31, "0.31"), (12.0, "12"), (NAN, "NaN")]
)
def test_difference(value: float, text: str) -> None:
    assert numbers.difference(value) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.9821, 1, "98.2 %"),
        (0.0, 1, "0.0 %"),
        (1.0, 1, "100.0 %"),
        (0.99999, 1, "over 99.9 %"),
        (1e-5, 1, "under 0.1 %"),
        (0.9999, 0, "over 99 %"),
        (NAN, 1, "NaN"),
    ],
)
def test_percent_never_rounds_to_certainty(share: float, digits: int, text: str) -> None:
    assert numbers.percent(share, digits) == text


def test_points() -> None:
    assert numbers.points(0.004) == "0.4 points"
    assert numbers.points(-1e-9) == "0 points"
    assert numbers.points(-0.02) == "-2 points"
    assert numbers.points(NAN) == "NaN"


def test_events_carry_their_bound() -> None:
    assert numbers.events(0, 16, 0.171) == "0 of 16 (at most 18 %)"
    assert numbers.events(0, 1797, 0.0017) == "0 of 1,797 (at most 0.2 %)"
    assert numbers.events(3, 16, None) == "3 of 16"
    assert numbers.events(399, 400, 0.9999) == "399 of 400 (at most 100 %)"


@pytest.mark.parametrize(
    ("value_ms", "text"), [(12.34, "12.3 ms"), (0.85, "850 µs"), (1200.0, "1.20 s"), (NAN, "NaN"), (999.96, "1,000 ms")]
)
def test_milliseconds(value_ms: float, text: str) -> None:
    assert numbers.milliseconds(value_ms) == text


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (0.44, "0.4 s"),
        (9.96, "10.0 s"),
        (59.7, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (7500.0, "2 h 5 min"),
        (INF, "infinite"),
    ],
)
def test_seconds(value_s: float, text: str) -> None:
    assert numbers.seconds(value_s) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (102_345_678, "102 MB"), (10**18, "1,000,000 TB")],
)
def test_size(n_bytes: int, text: str) -> None:
    assert numbers.size(n_bytes) == text


def test_throughput() -> None:
    assert numbers.throughput(Interval(median=171.2, low95=None, high95=None, n=1)) == "171 img/s"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([], ""),
        ([1], "1"),
        ([4, 2, 3, 2], "2 to 4"),
        ([1, 2], "1 and 2"),
        ([8, 1, 2, 3, 16, 17], "1 to 3, 8, 16 and 17"),
    ],
)
def test_batch_sizes(sizes: list[int], text: str) -> None:
    assert numbers.batch_sizes(sizes) == text


def test_batch_classes() -> None:
    assert numbers.batch_classes([[1], [2, 3, 4, 8], [16]]) == "{1} {2 to 4, 8} {16}"


def test_number_of() -> None:
    assert [numbers.counted(n, "image") for n in (0, 1, 1797)] == ["0 images", "1 image", "1,797 images"]
    assert numbers.counted(2, "class", "classes") == "2 classes"


@given(st.floats(-1e300, 1e300) | st.sampled_from([NAN, INF, -INF]), st.integers(1, 6))
def test_a_real_reads_back_to_its_digits(value: float, digits: int) -> None:
    text = numbers.real(value, digits)
    if math.isfinite(value):
        assert float(text.replace(",", "")) == pytest.approx(value, rel=0.5 * 10.0 ** (1 - digits) + 1e-12, abs=1e-320)
    else:
        assert text in ("NaN", "infinite", "minus infinite")


@pytest.mark.parametrize(
    ("median", "low", "high", "text"),
    [
        (0.987, 0.971, 1.006, "0.99 x (0.97 to 1.01)"),
        (1.934, None, None, "1.93 x"),
        (12.34, 0.0412, 123.4, "12.34 x (few calls)"),
        (math.nan, -math.inf, math.inf, "NaN (minus infinite to infinite)"),
    ],
)
def test_a_ratio_keeps_two_decimals(median: float, low: float | None, high: float | None, text: str) -> None:
    assert numbers.ratio_interval(Interval(median=median, low95=low, high95=high, n=5)) == text


def test_wide_limits_of_many_calls_are_told() -> None:
    wide = Interval(median=12.34, low95=0.0412, high95=123.4, n=10)
    assert numbers.ratio_interval(wide) == "12.34 x (0.0412 to 123.40)"
    assert numbers.ratio(1.0) == "1.00 x"


def test_a_rate_has_no_exponent() -> None:
    assert [numbers.rate(value) for value in (171.4, 165432.0)] == ["171", "165,432"]


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (3 / 1_575_000_000, "520,000,000"),
        (1.0, "1"),
        (0.103, "9"),
        (0.1, "10"),
        (0.0, "0"),
        (math.nan, "NaN"),
        (1e-300, "1.0e-300"),
    ],
)
def test_a_small_rate_is_said_as_one_of_so_many(rate: float, text: str) -> None:
    assert numbers.one_of(rate) == text

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.records.wording import (
    Toward,
    between,
    condition_words,
    counted,
    listed,
    number,
    out_of,
    percent,
    percent_interval,
    points,
    rounded,
    sizes,
    two_decimals,
)
from tests.fakes import CONDITION


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (3.8147e-06, "3.81e-06"),
        (170.6, "171"),
        (999.7, "1,000"),
        (1234.5, "1,234"),
        (float("inf"), "inf"),
        (0, "0"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("batch_sizes", "text"),
    [
        ([2], "N = 2"),
        ([4, 2, 2], "N = 2 and 4"),
        (range(2, 33), "N = 2 to 32"),
        ([2, 3, 4, 8, 9], "N = 2 to 4, 8 and 9"),
    ],
)
def test_runs_of_sizes_are_shortened(batch_sizes: list[int], text: str) -> None:
    assert sizes(batch_sizes) == text


def test_lists_counts_and_shares() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "none",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert (counted(1, "image"), counted(2000, "image")) == ("1 image", "2,000 images")
    assert (percent(0.025), points(0.0049), points(0.01)) == ("2.5 %", "0.49 points", "1 point")
    assert out_of(1, 2000, "element") == "1 of 2,000 elements"


def test_a_setting_names_what_is_particular() -> None:
    assert condition_words(CONDITION) == "2 threads"
    particular = {
        "threads": 1,
        "memory_format": "channels_last",
        "device": "cuda",
        "cuda": CudaOptions(tf32="on"),
        "position": 1,
        "neighbours": "outlier",
    }
    assert condition_words(CONDITION.model_copy(update=particular)) == (
        "1 thread, channels_last, cuda, tf32 on, images rotated by 1, beside an outlier"
    )


@pytest.mark.parametrize(
    ("down", "up", "value"),
    [
        ("17 %", "18 %", lambda toward: percent(0.1707, 0, toward)),
        ("99.2 %", "99.3 %", lambda toward: percent(0.99254, toward=toward)),
        ("99.9 %", "100.0 %", lambda toward: percent(0.99999, toward=toward)),
        ("0.0 %", "0.1 %", lambda toward: percent(0.00001, toward=toward)),
        ("7 %", "7 %", lambda toward: percent(0.07, 0, toward)),  # 7.000000000000001 by its binary digits
        ("1.78 points", "1.79 points", lambda toward: points(0.017832, toward)),
        ("-1.79 points", "-1.78 points", lambda toward: points(-0.017832, toward)),
        ("0 points", "0.01 points", lambda toward: points(1e-9, toward)),
        ("-0.01 points", "0 points", lambda toward: points(-1e-9, toward)),
        ("2 points", "2 points", lambda toward: points(0.1 - 0.08, toward)),
        ("12.21 points", "12.22 points", lambda toward: points(0.12214, toward)),  # within a limit of 12.25
        ("97.6", "97.7", lambda toward: number(97.65, toward)),
        ("999", "1,000", lambda toward: number(999.4, toward)),
        ("1,234", "1,235", lambda toward: number(1234.4, toward)),
        ("1.23e+07", "1.24e+07", lambda toward: number(12_345_678.0, toward)),
        ("0.999", "1", lambda toward: number(0.99995, toward)),
        ("0", "0", lambda toward: number(0.0, toward)),
        ("inf", "inf", lambda toward: number(float("inf"), toward)),
        ("1.05", "1.06", lambda toward: two_decimals(1.0504, toward)),
    ],
)
def test_a_lower_bound_is_rounded_down_and_an_upper_one_up(down: str, up: str, value: Callable[[Toward], str]) -> None:
    assert (value("down"), value("up")) == (down, up)


def test_an_interval_covers_what_it_is_of() -> None:
    assert between(0.9549, 1.4901, two_decimals) == "0.95 to 1.50"
    assert between(97.65, 102.31, number) == "97.6 to 103"
    assert percent_interval(0.96449, 0.99141) == "96.4 % to 99.2 %"


@given(st.floats(-1e12, 1e12), st.integers(-3, 6))
def test_what_is_printed_of_a_bound_holds(value: float, decimals: int) -> None:
    low, high = rounded(value, decimals, "down"), rounded(value, decimals, "up")
    noise = 1e-11 * abs(value)
    assert low <= value + noise and value - noise <= high and high - low <= 10.0**-decimals * 1.001 + noise
    assert rounded(value, decimals, "nearest") == value

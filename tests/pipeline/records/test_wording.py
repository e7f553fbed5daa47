import pytest

from isobatch.models.spec.words import CudaOptions
from isobatch.pipeline.records.wording import condition_words, counted, listed, number, out_of, percent, points, sizes
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

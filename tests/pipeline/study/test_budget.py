"""What a budget has time for: most valuable first."""

import pytest

from isobatch.pipeline.config.numbers import duration
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.study.budget import Fit, fit

EXPECTED = {"accuracy_s": 20.0, "range_s": 15.0, "explanation_s": 60.0}


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        (500.0, Fit(accuracy=True, race_s=60.0, certify=True, explain=True)),
        (150.0, Fit(accuracy=True, race_s=60.0, certify=True, explain=False)),
        (100.0, Fit(accuracy=True, race_s=42.0, certify=True, explain=False)),  # 8 s are the reports', 15 opening
        (60.0, Fit(accuracy=True, race_s=10.0, certify=False, explain=False)),
        (40.0, Fit(accuracy=True, race_s=0.0, certify=False, explain=False)),
        (5.0, Fit(accuracy=False, race_s=0.0, certify=False, explain=False)),
    ],
)
def test_what_fits_is_taken_in_the_order_of_its_value(left_s: float, expected: Fit) -> None:
    assert fit(left_s, 60.0, **EXPECTED) == expected


def test_a_race_that_was_not_asked_for_takes_nothing() -> None:
    assert fit(120.0, 0.0, **EXPECTED) == Fit(accuracy=True, race_s=0.0, certify=True, explain=True)


@pytest.mark.parametrize(("text", "expected"), [("90", 90.0), ("90s", 90.0), ("2m", 120.0), ("1.5h", 5400.0)])
def test_a_time_is_written_with_or_without_its_unit(text: str, expected: float) -> None:
    assert duration("--budget", text) == expected


@pytest.mark.parametrize("text", ["", "m", "0", "-1s", "2 weeks", "nan", "infs", "9999h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        duration("--budget", text)

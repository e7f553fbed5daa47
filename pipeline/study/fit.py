"""What fits into the time that is left, most valuable first: a pure function of seconds."""

from dataclasses import dataclass

LEAST_RACE_S = 10.0
"""Of a race that decides, unless its rounds are known to be quick."""

_ROUNDING_S = 1e-3


@dataclass(frozen=True)
class Needs:
    """Seconds that what may still come is to take."""

    reports_s: float = 0.0
    accuracy_s: float = 0.0
    race_s: float = 0.0  # what most races take, within what was asked for
    beside_s: float = 0.0  # of a race, beside its rounds; 0: nothing of the kind
    range_s: float = 0.0
    explanation_s: float = 0.0
    least_race_s: float = LEAST_RACE_S  # of one that decides


@dataclass(frozen=True)
class Fit:
    """What there is time for."""

    accuracy: bool
    race_s: float  # for its rounds at the most, 0 for no race
    certify: bool
    explain: bool


def fit(left_s: float, needs: Needs) -> Fit:
    """What fits into so many seconds, most valuable first: accuracy, a race, its choice verified, origins and repairs.

    A race is shortened to ``least_race_s`` before it, or verifying its choice, is left out.
    """
    left_s -= needs.reports_s
    accuracy = needs.accuracy_s <= left_s
    left_s -= needs.accuracy_s if accuracy else 0.0
    least, most = min(needs.race_s, needs.least_race_s), left_s - needs.beside_s
    raced = min(needs.race_s, max(least, most - needs.range_s)) if needs.race_s and most >= least else 0.0
    left_s -= raced + needs.beside_s if raced else 0.0
    certify = needs.range_s <= left_s + _ROUNDING_S
    left_s -= needs.range_s if certify else 0.0
    return Fit(accuracy, raced, certify, needs.explanation_s <= left_s)

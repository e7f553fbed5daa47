"""How long a race may be."""

from dataclasses import replace

import pytest

from isobatch.pipeline.config.config import QUICK_RACE_S, Config
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.race.stage import BESIDE_S, last_look, usual_s


@pytest.mark.parametrize(
    ("quick", "seconds", "rounds"),
    [(False, 60.0, LOOKS[-1]), (False, 5.0, LOOKS[-1]), (True, QUICK_RACE_S, LOOKS[0]), (True, 60.0, LOOKS[-1])],
)
def test_a_quick_race_ends_with_its_first_look_unless_it_was_given_more_time(
    quick: bool, seconds: float, rounds: int
) -> None:
    assert last_look(replace(Config(("fp32",)), quick=quick, race_s=seconds)) == rounds


@pytest.mark.parametrize("seconds", [0.0, 5.0, 60.0, 600.0])
def test_what_a_race_usually_takes_is_never_beyond_its_limit(seconds: float) -> None:
    config = Config(("fp32",), race_s=seconds)
    assert usual_s(config) <= seconds + BESIDE_S
    assert bool(usual_s(config)) is bool(seconds)
    assert usual_s(replace(config, quick=True)) <= usual_s(config)

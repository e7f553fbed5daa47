"""A busy neighbour of one job leaves nobody out who is as fast."""

from __future__ import annotations

import pytest

from isobatch.pipeline.race.field import Wanted, entered
from isobatch.pipeline.race.rounds import Entry
from tests.pipeline.race.test_rounds import entry, timed
from tests.pipeline.results import result


def asked(name: str, seconds: float, doubted: bool) -> tuple[Wanted, Entry]:
    return Wanted(result(name), (8,), seconds, 0, True, doubted), entry(name, lambda n: timed(seconds))


@pytest.mark.parametrize(("seconds", "races"), [(0.1, True), (0.19, True), (0.21, False)])
def test_who_is_doubted_races_unless_calls_in_turn_show_it_slower(seconds: float, races: bool) -> None:
    first, doubted = asked("first", 0.1, False), asked("doubted", seconds, True)
    racing, slow = entered([first, doubted])
    assert [racer.name for racer in racing] == ["first", *["doubted"] * races]
    assert [one.why for one in slow] == ["clearly slower (2.10 times the time of first in calls in turn)"] * (not races)
    assert doubted[1].contestant.ended is not races  # type: ignore[attr-defined]


def test_who_is_not_doubted_races_however_slow() -> None:
    racing, slow = entered([asked("first", 0.1, False), asked("rival", 1.0, False)])
    assert [racer.name for racer in racing] == ["first", "rival"] and not slow


def test_the_rival_of_the_choice_stays_open_though_it_is_slower() -> None:
    rival = asked("rival", 1.0, True)
    racing, slow = entered([asked("first", 0.1, False), rival], kept="rival")
    assert [racer.name for racer in racing] == ["first"] and [one.variant for one in slow] == ["rival"]
    assert not rival[1].contestant.ended  # type: ignore[attr-defined]

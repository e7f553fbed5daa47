"""How long a race may be."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from isobatch.pipeline.config.config import QUICK_RACE_S, Config
from isobatch.pipeline.decide.race import LOOKS
from isobatch.pipeline.decide.recommend import recommend
from isobatch.pipeline.race.field import Wanted
from isobatch.pipeline.race.rounds import Entry
from isobatch.pipeline.race.stage import BESIDE_S, TAIL_CALLS, _with_tails, expected_s, last_look, usual_s
from isobatch.pipeline.records.study import Policy
from tests.pipeline.race.test_rounds import entry, timed
from tests.pipeline.results import race, result


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


def test_a_race_of_slower_calls_is_expected_to_take_longer_up_to_its_limit() -> None:
    quick = Config(("fp32",), quick=True, race_s=QUICK_RACE_S)
    field = [Wanted(result(name), (4, 2), 0.03, 0, True) for name in ("a", "b")]
    rival = Wanted(result("c"), (4,), 0.1, 0, False)
    rounds_s, tried_s, against_s = 1.3 * 10 * 2 * 2 * 4 * 0.03, 2 * (1 + 4 * 6 * 0.03), 5.0
    assert expected_s(quick, field, rival) == pytest.approx(rounds_s + tried_s + against_s)
    slow = [replace(wanted, seconds=1.0) for wanted in field]
    assert expected_s(quick, slow, None) == QUICK_RACE_S + 2 * (1 + 4 * 6)
    doubted = [*field, replace(field[0], doubted=True)]
    assert expected_s(quick, doubted, None) == pytest.approx(rounds_s + tried_s + 1 + 8 * 0.03)


@pytest.mark.parametrize(
    ("rejected", "seconds", "called"),
    [(False, {"a": 0.01}, ["a"]), (False, {"a": 9.0, "b": 0.01}, ["a", "b"]), (True, {"b": 0.01}, ["b"])],
    ids=["the choice meets it", "the next does", "the range rejected the choice"],
)
def test_a_limit_on_p99_is_decided_by_calls_of_whoever_is_chosen(
    rejected: bool, seconds: dict[str, float], called: list[str]
) -> None:
    asked: list[str] = []

    def entry_of(name: str) -> Entry:
        asked.append(name)
        return entry(name, lambda n: timed(seconds[name]))

    stages: Any = SimpleNamespace(progress=SimpleNamespace(step=lambda label, cost: None))
    results = [result("a", "batch-variant" if rejected else "batch-invariant"), result("b")]
    policy = Policy(max_latency_p99_ms=1000)
    found = _with_tails(stages, results, policy, race(a=200, b=100), entry_of)
    assert asked == called and recommend(results, policy, found).chosen == called[-1]
    again = _with_tails(stages, results, policy, found, entry_of)
    assert again == found and asked == called and {len(c.more_s) for c in again.contestants} <= {0, TAIL_CALLS}

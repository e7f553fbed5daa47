"""One choice of a candidate: what the ladder takes is what the record describes, over drawn ladders."""

from typing import Any

import numpy as np
import pytest

from isobatch.pipeline.repair.ladder import Tried, attempts, needs_no_rival
from isobatch.pipeline.repair.records import best, repair_records
from isobatch.pipeline.repair.rungs import Candidate
from isobatch.pipeline.repair.verify import Verified

RUNGS = ("per-sample-scale", "surgical", "pin-shape", "recheck")


def drawn_ladder(draws: np.random.Generator) -> list[Tried]:
    """Up to three candidates a rung, of costs so near to one another that the order of comparing decides."""
    found = []
    for rung in RUNGS:
        for place in range(int(draws.integers(0, 4))):
            found.append(_drawn(rung, f"{rung} {place}", draws))
    return found


def _drawn(rung: str, how: str, draws: np.random.Generator) -> Tried:
    if draws.random() < 0.2:
        return Tried(rung, "does not apply")
    holds = bool(draws.random() < 0.8)
    verified = Verified("drawn", {2: 0 if holds else 3}, {2: 0}, 5, 1, bool(draws.random() < 0.5), 5, 1)
    cost = 1 + 0.02 * int(draws.integers(0, 20))
    ratios = {n: tuple(cost * (1 + 0.01 * float(draws.random())) for _ in range(3)) for n in (1, 8)} if holds else {}
    candidate = Candidate(lambda runner: runner, how, ("layer",), bitwise=rung != "recheck")
    return Tried.by(rung, candidate, verified=(verified,), ratios=ratios)


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_the_record_describes_the_candidate_that_is_taken(objective: str) -> None:
    draws = np.random.Generator(np.random.PCG64(15))
    taken = 0
    for _ in range(400):
        tried = drawn_ladder(draws)
        chosen = best(tried, objective)
        assert (chosen is None) == (
            not any(attempt.holds and attempt.candidate and attempt.candidate.bitwise for attempt in tried)
        )
        if chosen is None or chosen.candidate is None:
            continue
        taken += 1
        (record,) = [repair for repair in repair_records(attempts(tried), objective) if repair.name == chosen.name]
        assert described(record, chosen)
    assert taken > 200


def test_another_candidate_that_is_taken_is_the_one_described() -> None:
    """The cheapest may not be writable: the choice is passed on."""
    draws = np.random.Generator(np.random.PCG64(16))
    others = 0
    for _ in range(200):
        tried = drawn_ladder(draws)
        held = [
            place
            for place, attempt in enumerate(tried)
            if attempt.holds and attempt.candidate and attempt.candidate.bitwise
        ]
        for place in held:
            records = repair_records(attempts(tried), "throughput", place)
            (record,) = [attempt for attempt in records if attempt.name == tried[place].name]
            assert described(record, tried[place])
            others += tried[place] is not best(tried)
    assert others > 50


@pytest.mark.parametrize("as_native", [True, False])
def test_a_cheap_repair_that_changes_outputs_has_rivals_and_loses_to_one_that_does_not(as_native: bool) -> None:
    def repair(name: str, ratio: float, as_native: bool) -> Tried:
        verified = Verified("drawn", {2: 0}, {2: 0}, 5, 1, as_native, 5, 1)
        ratios = dict.fromkeys((1, 8), (ratio,) * 3)
        return Tried.by(name, Candidate(lambda runner: runner, name), verified=(verified,), ratios=ratios)

    switch = repair("determinism-switch", 1.0, as_native)
    assert switch.cheap and needs_no_rival([switch]) is as_native
    taken = best([switch, repair("surgical", 1.1, True)])
    assert taken is not None and taken.name == ("determinism-switch" if as_native else "surgical")


def described(record: Any, chosen: Tried) -> bool:
    assert chosen.candidate is not None and chosen.ratios
    as_native = all(attempt.singles_as_native for attempt in chosen.verified)
    median = float(np.median(chosen.ratios[1]))
    return bool(
        record.note.startswith(chosen.candidate.how)
        and record.singles_as_native == as_native
        and record.latency_ratio["1"].median == median
    )

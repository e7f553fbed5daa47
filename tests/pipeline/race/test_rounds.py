"""The rounds, with contestants that only say times: what is repeated, kept, dropped and started again."""

from collections.abc import Callable, Iterator
from itertools import cycle, repeat

import pytest

from isobatch.pipeline.race.contestant import Missed
from isobatch.pipeline.race.crossing import Turn
from isobatch.pipeline.race.rounds import PATIENCE_S, Entry, Tally, preliminary, race
from isobatch.pipeline.records.errors import WorkerError

Say = Callable[[int], Turn]


class Said:
    """A contestant that answers from a list: a turn, or what is raised instead."""

    load_s, ended = 0.5, False

    def __init__(self, answers: Iterator[Turn | Exception | Say]) -> None:
        self.answers, self.starts, self.asked = answers, 0, list[tuple[int, int]]()

    def start(self, limit_s: float) -> None:
        self.starts += 1

    def end(self) -> None:
        self.ended = True

    def turn(self, n: int, limit_s: float, calls: int = 1) -> Turn:
        self.asked.append((n, calls))
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Turn) else answer(n)


def timed(seconds: float, waited: float | None = 0.0) -> Turn:
    return Turn((seconds,), (waited,), 1000)


def entry(name: str, *answers: Turn | Exception | Say) -> Entry:
    every = repeat(answers[0]) if len(answers) == 1 else iter(answers)
    return Entry(name, Said(every), 8, 10.0, 10.0)


def run(*entries: Entry, rounds: int = 10, stolen: Callable[[], int | None] = lambda: 0) -> tuple[Tally, list[float]]:
    paused: list[float] = []
    tally = race(entries, 3600, lambda tally: tally.rounds >= rounds, stolen=stolen, pause=paused.append)
    return tally, paused


def test_a_round_is_one_call_of_each_at_its_own_n() -> None:
    a, b = entry("a", timed(1.0)), entry("b", timed(2.0))
    tally, paused = run(a, b)
    assert (tally.rounds, tally.run, tally.disturbed, tally.unsteady, paused) == (10, 10, 0, False, [])
    assert (a.call_s, b.call_s) == ([1.0] * 10, [2.0] * 10)
    assert a.contestant.asked == [(8, 1)] * 10  # type: ignore[attr-defined]
    assert a.peak_memory_bytes == 1000


def test_a_disturbed_round_is_repeated_whole() -> None:
    calm, late = timed(1.0, 0.05), timed(9.0, 0.46)  # five per cent is no disturbance yet
    a = entry("a", *[calm] * 8, late, *[calm] * 9)
    b = entry("b", timed(2.0))
    tally, paused = run(a, b)
    assert (tally.rounds, tally.run, tally.disturbed, tally.unsteady, paused) == (10, 11, 1, False, [])
    assert a.call_s == [1.0] * 10 and b.call_s == [2.0] * 10


def test_what_the_host_takes_in_a_round_disturbs_it() -> None:
    ticks = iter([0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    tally, _ = run(entry("a", timed(1.0)), rounds=4, stolen=lambda: next(ticks))
    assert (tally.rounds, tally.run, tally.disturbed) == (4, 5, 1)


def test_a_busy_machine_is_waited_for_and_then_raced_on_and_called_unsteady() -> None:
    a = entry("a", timed(1.0, 0.5))
    tally, paused = run(a, rounds=30)
    assert sum(paused) == tally.waited_s == PATIENCE_S
    assert tally.unsteady and tally.rounds >= 30 and len(a.call_s) == tally.rounds == tally.run == tally.disturbed
    assert a.waited_s == [0.5] * len(a.call_s)


def test_a_few_rounds_are_unsteady_too_where_other_programs_took_time_from_them() -> None:
    a = entry("a", *[timed(1.0, 0.9)] * 4, WorkerError("its worker was ended by SIGKILL", "crash"))
    tally, _ = run(a)
    assert (tally.unsteady, tally.run, tally.disturbed, a.call_s) == (True, 4, 4, [1.0] * 4)


def test_a_machine_that_grows_quiet_in_time_is_steady_again() -> None:
    a = entry("a", *[timed(9.0, 5.0)] * 6, *[timed(1.0)] * 40)
    tally, paused = run(a, rounds=40)
    assert 0 < len(paused) < PATIENCE_S
    assert (tally.disturbed, tally.rounds, tally.unsteady, a.call_s) == (6, 40, False, [1.0] * 40)


def test_a_crash_drops_its_contestant_alone() -> None:
    a = entry("a", timed(1.0), timed(1.0), WorkerError("its worker was ended by SIGSEGV", "crash"))
    b = entry("b", timed(2.0))
    tally, _ = run(a, b)
    assert a.dropped == "its worker was ended by SIGSEGV" and b.dropped is None
    assert tally.rounds == len(b.call_s) == 10 and len(a.call_s) == 2


def test_who_is_late_is_started_again_once_and_then_dropped() -> None:
    late = entry("late", Missed(), timed(1.0), timed(1.0), Missed())
    b = entry("b", timed(2.0))
    tally, _ = run(late, b)
    assert late.contestant.starts == 1  # type: ignore[attr-defined]
    assert late.dropped == "no answer within 10 s, the limit of its turn, twice"
    assert len(late.call_s) == 2 and tally.rounds == 10 and late.contestant.ended  # type: ignore[attr-defined]


def test_who_is_not_open_in_time_is_ended_and_disturbs_nobody() -> None:
    class Slow(Said):
        def start(self, limit_s: float) -> None:
            raise Missed

    slow = Entry("slow", Slow(repeat(timed(1.0))), 8, 10.0, 10.0)
    slow.open()
    assert slow.dropped == "not open within 10 s" and slow.contestant.ended  # type: ignore[attr-defined]


def test_the_race_ends_when_nobody_is_left() -> None:
    tally, _ = run(entry("a", WorkerError("gone", "crash")))
    assert tally.rounds == 0


@pytest.mark.parametrize(("sizes", "best"), [([4, 8, 16], 16), ([4], 4)])
def test_the_best_n_is_found_on_calls_that_price_nothing(sizes: list[int], best: int) -> None:
    a = entry("a", lambda n: timed(0.1 + 0.1 * n))
    assert preliminary(a, sizes) == (0.1 + 0.1 * best) / best
    assert (a.batch_size, a.call_s) == (best, []) and a.tried_s == {n: (0.1 + 0.1 * n) / n for n in sizes}
    assert a.contestant.asked == [(n, 3) for n in sizes]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "waited", "asked"), [(1.7, 0.0, [1]), (1.5, 0.0, [1, 3, 3]), (1.7, 0.5, [1, 3, 3]), (1.7, None, [1])]
)
def test_one_undisturbed_call_beyond_the_limit_is_enough(
    seconds: float, waited: float | None, asked: list[int]
) -> None:
    a = entry("a", lambda n: timed(seconds, waited))
    assert preliminary(a, [8, 4], limit_s=0.2) == pytest.approx(seconds / 8)
    assert [calls for _, calls in a.contestant.asked] == asked  # type: ignore[attr-defined]


def test_who_is_dropped_in_the_preliminary_is_asked_no_more() -> None:
    a = Entry("a", Said(cycle([WorkerError("gone", "crash")])), 8, 10.0, 10.0)
    preliminary(a, [4, 8])
    assert a.dropped == "gone" and len(a.contestant.asked) == 1  # type: ignore[attr-defined]


def test_the_time_that_went_by_is_told_with_every_round() -> None:
    told: list[float] = []
    tally = race(
        [entry("a", timed(1.0))], 3600, lambda tally: tally.rounds >= 3, lambda tally: told.append(tally.seconds)
    )
    assert 0 < told[0] < told[1] < told[2] <= tally.seconds

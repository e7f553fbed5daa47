"""Real workers behind the race's sockets: stopped while they wait, dropped with a reason when they crash or hang."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.processes import pool
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.race.contestant import LiveContestant, Missed
from isobatch.pipeline.records.errors import WorkerError
from tests.pipeline.race import served
from tests.waiting import ENDS_S, until


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patch, Workers(ENDS_S) as found:
        patch.setattr(pool, "PRELOAD", served.__name__)
        yield found


def contestant(workers: Workers, **payload: Any) -> LiveContestant:
    return LiveContestant(workers, {"OMP_NUM_THREADS": "1"}, payload, function="tests.pipeline.race.served:contest")


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def waiting(pid: int, wanted: str) -> bool:
    return until(lambda: state(pid) == wanted)


def test_a_contestant_is_stopped_but_in_its_turn(workers: Workers) -> None:
    with contestant(workers) as entrant, contestant(workers) as two:
        for each in (entrant, two):
            each.start(ENDS_S)
            assert each.pid is not None and waiting(each.pid, "T")
        turn = entrant.turn(3, ENDS_S)
        assert (turn.seconds, turn.waited_s, turn.peak_memory_bytes) == ((3.0,), (None,), 7)
        assert entrant.turn(2, ENDS_S, calls=4).seconds == (2.0,) * 4
        pid = entrant.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        until(lambda: os.kill(pid, 0))


def test_a_crash_is_told_with_its_signal_and_the_contestant_can_be_started_again(workers: Workers) -> None:
    with contestant(workers) as entrant:
        entrant.start(ENDS_S)
        with pytest.raises(WorkerError, match="SIGSEGV"):
            entrant.turn(served.CRASH, ENDS_S)
        entrant.start(ENDS_S)
        assert entrant.turn(1, ENDS_S).seconds == (1.0,)
        with pytest.raises(WorkerError, match="no such n"):
            entrant.turn(served.RAISE, ENDS_S)


def test_who_does_not_answer_has_missed_its_turn(workers: Workers) -> None:
    with contestant(workers) as entrant:
        entrant.start(ENDS_S)
        with pytest.raises(Missed):
            entrant.turn(served.HANG, 0.3)
        entrant.start(ENDS_S)
        assert entrant.turn(5, ENDS_S).seconds == (5.0,)


def test_what_cannot_be_opened_says_why(workers: Workers) -> None:
    with contestant(workers, broken=True) as entrant, pytest.raises(WorkerError, match="cannot be opened"):
        entrant.start(ENDS_S)


def test_a_stopped_worker_is_not_silent_for_too_long(workers: Workers) -> None:
    """Other calls are waited for meanwhile, with a limit of silence that the stopped one would break."""
    with contestant(workers) as entrant:
        entrant.start(ENDS_S)
        quick = Workers.begin(workers, {"OMP_NUM_THREADS": "1"}, "tests.pipeline.race.served:nothing", {})
        assert workers.wait([quick]).result() == {}
        assert entrant.turn(1, ENDS_S).seconds == (1.0,)
        assert entrant.pid is not None
        os.kill(entrant.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="SIGKILL"):
            entrant.turn(1, ENDS_S)

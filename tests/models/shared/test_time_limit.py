import contextlib
import signal
import threading
import time

import pytest

from isobatch.models.shared.time_limit import TimeLimit, time_limit


def test_what_swallows_every_error_of_its_own_is_ended_all_the_same() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(TimeLimit, match=r"not done after 0\.05 s"), time_limit(0.05):
        while True:
            with contextlib.suppress(Exception):
                sum(range(100))
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_what_ends_in_time_is_left_alone() -> None:
    with time_limit(60.0):
        assert sum(range(10)) == 45
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_time_in_which_the_processor_was_others_is_not_counted() -> None:
    with time_limit(0.2):
        time.sleep(0.5)


def test_in_another_thread_there_is_no_limit() -> None:
    ended: list[int] = []

    def work() -> None:
        with time_limit(1e-6):
            ended.append(sum(range(1000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [499500]


def test_a_time_that_is_over_before_the_block_begins_leaves_no_alarm_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine, which stops the process right after it has set its alarm."""
    handler, real = signal.getsignal(signal.SIGVTALRM), signal.setitimer

    def slow(which: int, seconds: float, *more: float) -> None:
        real(which, seconds, *more)
        while seconds:
            pass

    monkeypatch.setattr(signal, "setitimer", slow)
    with pytest.raises(TimeLimit), time_limit(0.05):
        pytest.fail("the block began")
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0
    assert signal.getsignal(signal.SIGVTALRM) is handler

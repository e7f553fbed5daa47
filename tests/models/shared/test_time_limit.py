import contextlib
import signal
import threading

import pytest

from isobatch.models.shared.time_limit import TimeLimit, time_limit


def test_what_swallows_every_error_of_its_own_is_ended_all_the_same() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeLimit, match=r"not done after 0\.05 s"), time_limit(0.05):
        while True:
            with contextlib.suppress(Exception):
                sum(range(100))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_ends_in_time_is_left_alone() -> None:
    with time_limit(60.0):
        assert sum(range(10)) == 45
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_another_thread_there_is_no_limit() -> None:
    ended: list[int] = []

    def work() -> None:
        with time_limit(1e-6):
            ended.append(sum(range(1000)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [499500]

import os
import threading
import time

import pytest

from isobatch.pipeline.machine.disturbance import is_disturbed, stolen_ticks, waited_s, waits


def test_the_waits_of_threads_are_added_and_a_new_one_counts_whole() -> None:
    assert waited_s({"1": 5_000_000, "2": 1_000_000}, {"1": 7_000_000, "3": 4_000_000}) == pytest.approx(0.006)
    assert waited_s(None, {"1": 1}) is None and waited_s({"1": 1}, None) is None


@pytest.mark.parametrize(("waited", "expected"), [(None, False), (0.0, False), (0.005, False), (0.0051, True)])
def test_five_per_cent_of_the_call_is_the_limit(waited: float | None, expected: bool) -> None:
    assert is_disturbed(waited, 0.1) is expected


def test_steal_is_the_eighth_number_of_the_first_line() -> None:
    assert stolen_ticks("cpu  1 2 3 4 5 6 7 47 0 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n") == 47
    assert stolen_ticks("") is None and stolen_ticks("cpu 1 2") is None


@pytest.mark.skipif(waits() is None, reason="this kernel does not count how long threads wait")
def test_a_thread_that_shares_its_core_is_seen_to_wait() -> None:
    """Two children on one core for 0.3 s of work each: the one that reports waited for the other."""
    core = {min(os.sched_getaffinity(0))}
    read, write = os.pipe()
    waiting, go = os.pipe()
    children = []
    for reports in (True, False):
        if (pid := os.fork()) == 0:
            os.sched_setaffinity(0, core)
            os.close(go)
            os.read(waiting, 1)  # until both are there
            before, end = waits(), time.process_time() + 0.3
            while time.process_time() < end:
                pass
            if reports:
                os.write(write, f"{waited_s(before, waits())}".encode())
            os._exit(0)
        children.append(pid)
    os.close(go)
    for pid in children:
        os.waitpid(pid, 0)
    assert float(os.read(read, 64)) > 0.05
    for descriptor in (read, write, waiting):
        os.close(descriptor)


def test_every_thread_is_looked_at() -> None:
    before, running, done = waits(), threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (running.set(), done.wait()))
    thread.start()
    running.wait()
    after = waits()
    done.set()
    thread.join()
    assert (before is None) == (after is None)
    assert before is None or after is None or len(after.keys() - before.keys()) >= 1

"""Limits of a worker that reads files from outside, felt in a process of its own."""

import os
from pathlib import Path

import numpy as np
import pytest

from isobatch.pipeline.machine import memory
from isobatch.pipeline.machine.memory import limit_memory, tree_bytes
from tests.waiting import until


@pytest.mark.parametrize(("files", "fits"), [(0, False), (1 << 28, True)])
def test_what_unfolds_beyond_the_limit_is_a_memory_error(
    files: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (child := os.fork()) == 0:
        code = 9
        try:
            status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            has = int(status["VmData"].split()[0]) * 1024
            monkeypatch.setattr(memory, "UNTRUSTED_BYTES", has + (1 << 26))
            limit_memory(files)
            np.ones(1 << 27, np.uint8)
            code = 0
        except MemoryError:
            code = 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if fits else 1)


def test_the_memory_of_a_process_that_ended_is_nothing() -> None:
    assert tree_bytes(os.getpid()) > 1 << 20
    assert tree_bytes(2**22 + 1) == 0


def test_peak_memory_is_read_only_when_asked_inside_and_by_itself_afterwards_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_PERIOD_S", 0.001)
    with memory.PeakMemory() as peak:
        until(lambda: peak.peak_bytes)
        with pytest.raises(KeyError), peak.by_hand() as sample:
            peak.peak_bytes = None
            sample()
            assert peak.peak_bytes
            peak.peak_bytes = None
            sample()  # within ten seconds: not again
            assert peak.peak_bytes is None
            raise KeyError
        until(lambda: peak.peak_bytes)

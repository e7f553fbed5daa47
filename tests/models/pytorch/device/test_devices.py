"""The device protocol on the CPU, and on a queue of work of its own that answers later, as a GPU does."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch
from torch import nn

from isobatch.models.machine.out_of_memory import out_of_memory
from isobatch.models.pytorch.device.devices import Device, HostEvent, kernels_on, timed

BUSY_S = 0.05


class Queue(Device):
    """Work given to it is done later, in order, by a thread of its own."""

    def __init__(self) -> None:
        self.work = ThreadPoolExecutor(1)

    def synchronize(self) -> None:
        self.work.submit(lambda: None).result()

    def event(self) -> QueueEvent:
        return QueueEvent(self.work)


class QueueEvent(HostEvent):
    """A time taken when the queue gets to it."""

    def __init__(self, work: ThreadPoolExecutor) -> None:
        self._work = work
        self._done: Future[None] | None = None

    def record(self) -> None:
        self._done = self._work.submit(super().record)

    def synchronize(self) -> None:
        assert self._done is not None
        self._done.result()


@pytest.fixture
def queue() -> Iterator[Queue]:
    device_queue = Queue()
    with device_queue.work:
        yield device_queue


def test_the_host_s_clock_times_the_call() -> None:
    begin = time.perf_counter()
    result, seconds = timed(Device(), lambda: time.sleep(BUSY_S) or "done")
    assert result == "done" and BUSY_S <= seconds <= time.perf_counter() - begin


def test_a_device_s_clock_times_its_own_work_and_none_from_before(queue: Queue) -> None:
    queue.work.submit(time.sleep, 4 * BUSY_S)  # not yet done when the call is made
    free = queue.work.submit(time.perf_counter)
    given = threading.Event()

    def call() -> str:
        queue.work.submit(time.sleep, BUSY_S)
        given.set()
        return "given"

    result, seconds = timed(queue, call)
    assert result == "given" and given.is_set()
    assert BUSY_S <= seconds <= time.perf_counter() - free.result()


def test_the_cpu_runs_again_what_a_gpu_would_play_back() -> None:
    seen: list[int] = []
    again = Device().capture(lambda: seen.append(len(seen)))
    again()
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [(nn.Conv2d(3, 4, 3), (2, 3, 8, 8), "convolution"), (nn.Tanh(), (2, 3), "tanh"), (nn.Linear(6, 2), (2, 6), "mm")],
)
def test_the_profiler_names_what_computed(module: nn.Module, shape: tuple[int, ...], expected: str) -> None:
    with torch.inference_mode():
        names = kernels_on(Device(), lambda: module(torch.ones(shape)))
    assert any(expected in name for name in names), names
    assert all(name.startswith("ATen aten::") for name in names)
    assert not any(word in name for name in names for word in ("empty", "as_strided", "copy"))


def test_a_call_is_made_once_before_it_is_profiled() -> None:
    made: list[str] = []

    def call() -> None:
        torch.tanh(torch.ones(2)) if made else torch.exp(torch.ones(2))
        made.append("")

    waits: list[int] = []

    class Waiting(Device):
        def synchronize(self) -> None:
            waits.append(len(made))

    names = kernels_on(Waiting(), call)
    assert "ATen aten::tanh" in names and "ATen aten::exp" not in names
    assert waits == [1, 2]


def exhaust() -> None:
    torch.empty(1 << 60, dtype=torch.int8)


def tell(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "fail",
    [
        exhaust,
        tell(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has ...")),
        tell(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")),
        tell(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
        tell(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
    ],
)
def test_too_little_memory_is_told_from_other_errors(fail: Callable[[], None]) -> None:
    with pytest.raises(RuntimeError) as raised:
        fail()
    shortage = out_of_memory(raised.value)
    assert shortage is not None and re.fullmatch(r"out of memory: .+", str(shortage))


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert out_of_memory(error) is None

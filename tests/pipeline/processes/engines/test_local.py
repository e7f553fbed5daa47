"""Which tasks run side by side on one machine. The workers are real processes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.processes import pool as execute
from isobatch.pipeline.processes.call import WorkerError
from isobatch.pipeline.processes.engines import Task, run_tasks
from isobatch.pipeline.processes.engines.local import LocalEngine
from isobatch.pipeline.processes.pool import Workers
from tests.waiting import ENDS_S, until

HERE = "tests.pipeline.processes.engines.test_local"


def work(payload: dict[str, Any], emit: Any) -> tuple[float, float]:
    """When it ran. ``meets``: a file that it makes, and the one of another task that it waits for."""
    begin = time.monotonic()
    emit("working")
    if payload["fails"]:
        raise ValueError("as asked")
    if payload["meets"]:
        own, other = map(Path, payload["meets"])
        own.touch()
        until(other.exists)
    time.sleep(0.15)
    return begin, time.monotonic()


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr(execute, "PRELOAD", "json")
    with Workers(timeout_s=ENDS_S) as pool:
        yield pool


class Log:
    """Tasks by name, and what became of them."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.events: list[str] = []
        self.ran: dict[str, Any] = {}
        self.names: dict[Task, str] = {}

    def task(self, name: str, threads: int = 1, alone: bool = False, fails: bool = False, meets: Any = None) -> Task:
        task = Task(
            environment={"OMP_NUM_THREADS": str(threads)},
            function=f"{HERE}:work",
            payload=lambda: {"fails": fails, "meets": meets},
            threads=threads,
            alone=alone,
            reads={},
            writes=(),
            begun=lambda: self.order.append(name),
            on_event=lambda event: self.events.append(f"{name} {event}"),
        )
        self.names[task] = name
        return task

    def run(self, engine: LocalEngine, *tasks: Task, unwanted: Any = lambda task: False) -> None:
        for task, result in run_tasks(engine, tasks, unwanted):
            try:
                self.ran[self.names[task]] = result()
            except WorkerError as error:
                self.ran[self.names[task]] = error.reason

    def overlap(self, one: str, other: str) -> bool:
        (begin, end), (start, stop) = self.ran[one], self.ran[other]
        return bool(begin < stop and start < end)


def test_tasks_share_the_cores_and_timed_ones_have_them_alone(workers: Workers, tmp_path: Path) -> None:
    log = Log()
    a, b = str(tmp_path / "a"), str(tmp_path / "b")  # a busy machine may start the second late
    tasks = [
        log.task("a", meets=(a, b)),
        log.task("wide", threads=2),
        log.task("b", meets=(b, a)),
        log.task("timed", alone=True),
        log.task("c"),
    ]
    log.run(LocalEngine(workers, None, cores=2), *tasks)
    assert log.order[:2] == ["a", "b"]  # "b" overtakes what does not fit beside "a"
    assert log.overlap("a", "b")
    assert not any(log.overlap(one, other) for one in ("wide", "timed") for other in log.ran if other != one)
    assert set(log.order) == set(log.ran) == {"a", "wide", "b", "timed", "c"}
    assert sorted(log.events) == [f"{name} working" for name in sorted(log.ran)]


def test_one_worker_keeps_the_order_of_the_plan(workers: Workers) -> None:
    log = Log()
    names = ["a", "b", "c"]
    log.run(LocalEngine(workers, 1, cores=8), *(log.task(name, alone=name == "b") for name in names))
    assert log.order == list(log.ran) == names
    assert not log.overlap("a", "b") and not log.overlap("b", "c")


def test_what_is_no_longer_wanted_does_not_start(workers: Workers) -> None:
    log = Log()
    tasks = [log.task("broken", fails=True), log.task("after"), log.task("other")]
    log.run(
        LocalEngine(workers, 1),
        *tasks,
        unwanted=lambda task: "broken" in log.ran and log.names[task] == "after",
    )
    assert log.ran["broken"] == "as asked"
    assert list(log.ran) == ["broken", "other"]


def test_a_launcher_that_cannot_start_fails_its_tasks_only(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    workers.call({"OMP_NUM_THREADS": "2"}, f"{HERE}:work", {"fails": False, "meets": None})
    monkeypatch.setattr(execute, "PRELOAD", "no_such_module")
    log.run(LocalEngine(workers, None, cores=3), log.task("lost", 1), log.task("fine", 2))
    assert "no_such_module" in log.ran["lost"]
    assert len(log.ran["fine"]) == 2

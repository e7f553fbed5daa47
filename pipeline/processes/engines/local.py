"""The engine of one machine: workers side by side as far as their threads fit its cores."""

from collections.abc import Callable, Sequence
from typing import Any

from isobatch.pipeline.machine.environment import available_cores, memory_bytes
from isobatch.pipeline.processes.call import WorkerCall
from isobatch.pipeline.processes.engines import Task
from isobatch.pipeline.processes.pool import Workers

WORKER_BYTES = 2 << 30
"""What a worker is reckoned to need, libraries included, where the user does not say how many there may be."""


class LocalEngine:
    """Forks of this machine's launchers, at most ``limit`` at a time, their threads together at most ``cores``.

    Without a limit memory is one, without cores those that this process may use.
    """

    name, machines = "local", 1
    left_out: Sequence[str] = ()

    def __init__(self, workers: Workers, limit: int | None, cores: int | None = None) -> None:
        self._workers = workers
        self._limit = limit or max(1, memory_bytes() // WORKER_BYTES)
        self._cores = cores or available_cores()
        self._calls: dict[WorkerCall, Task] = {}

    def fits(self, task: Task, running: Sequence[Task]) -> bool:
        """Whether the task can start beside those that are running."""
        if not running:
            return True
        if task.alone or any(other_task.alone for other_task in running) or len(running) >= self._limit:
            return False
        return task.threads + sum(other_task.threads for other_task in running) <= self._cores

    def start(self, task: Task) -> None:
        """Fork a worker for the task."""
        call = self._workers.begin(task.environment, task.function, task.payload(), task.on_event)
        self._calls[call] = task

    def wait(self) -> tuple[Task, Callable[[], Any]]:
        """The first started task to end, and its result."""
        call = self._workers.wait(list(self._calls))
        return self._calls.pop(call), call.result

"""Engines: where the calls of a study run side by side, and the order in which they start."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isobatch.pipeline.processes.call import OnEvent, WorkerError


@dataclass(frozen=True, eq=False)
class Task:
    """One call in a worker, with what it needs."""

    environment: Mapping[str, str]
    function: str
    payload: Callable[[], Any]  # made when it is needed: a study may have many thousands of calls
    threads: int  # how many its worker reserves; they are never halved to make room
    alone: bool  # its calls are timed, so nothing may run beside it
    reads: Mapping[str, str]  # files and folders that the payload names, each with the hash of its content
    writes: Sequence[str]  # the files that its worker writes
    begun: Callable[[], None]
    on_event: OnEvent


_AHEAD = 1000  # so many waiting tasks are looked at for one that fits


class Engine(Protocol):
    """Where tasks run. Used by one thread; what a task emits is passed on inside ``wait``."""

    name: str
    """What ``--engine`` calls it."""
    machines: int
    """How many machines have a part in it."""
    left_out: Sequence[str]
    """A line for each machine that has not."""

    def fits(self, task: Task, running: Sequence[Task]) -> bool:
        """Whether the task can start beside those that are running; always, where none is."""

    def start(self, task: Task) -> None:
        """Start the task. Raises WorkerError where no worker can be had for it."""

    def wait(self) -> tuple[Task, Callable[[], Any]]:
        """The first started task to end, and a function that gives its result.

        The function raises WorkerError where the worker failed, StoreError where it could not write.
        """


def run_tasks(
    engine: Engine, tasks: Sequence[Task], unwanted: Callable[[Task], bool]
) -> Iterator[tuple[Task, Callable[[], Any]]]:
    """Run the tasks, each as soon as it fits, earlier ones first; give each back as it ends, with its result.

    ``unwanted``: asked before a task starts; it is then left out. Later tasks overtake one that does not fit yet: the
    order is that of the plan where nothing can run side by side, as with one worker.
    """
    waiting, running = list(tasks), list[Task]()
    while waiting or running:
        while (chosen := next((t for t in waiting[:_AHEAD] if engine.fits(t, running)), None)) is not None:
            waiting.remove(chosen)
            if unwanted(chosen):
                continue
            chosen.begun()
            try:
                engine.start(chosen)
            except WorkerError as error:
                yield failing(chosen, error)
            else:
                running.append(chosen)
        if running:
            task, result = engine.wait()
            running.remove(task)
            yield task, result


def failing(task: Task, error: Exception) -> tuple[Task, Callable[[], Any]]:
    """What ``Engine.wait`` gives of a task that came to no result."""

    def result() -> Any:
        raise error

    return task, result

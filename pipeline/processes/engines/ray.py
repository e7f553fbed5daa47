"""The engine of a Ray cluster: tasks of Ray Core on machines that decide bits as this one does, results to this one.

A task is one call in a launcher of its node, as on one machine: a variant that crashes is a result, and is not tried
again; a node or process of Ray that dies is, elsewhere.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from isobatch.pipeline.machine.environment import bit_settings, machine
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.processes.call import WorkerError
from isobatch.pipeline.processes.engines import Task, failing
from isobatch.pipeline.processes.engines.ray_cluster import RayCluster, unlike
from isobatch.pipeline.processes.engines.ray_node import Shipped, answer_call
from isobatch.pipeline.records.errors import EngineError
from isobatch.pipeline.storage.files import StoreError, write_bytes

RETRIES = 3  # of a task whose node or Ray process died
_POLL_S = 5.0


class RayEngine:
    """Tasks on an open cluster. ``limit``: at most so many at once."""

    name = "ray"

    def __init__(self, cluster: RayCluster, limit: int | None, timeout_s: float) -> None:
        self._cluster, self._limit, self._timeout_s = cluster, limit, timeout_s
        self._ray = cluster.ray
        self._call = self._ray.remote(answer_call)
        self.machines = 0  # which have answered a call
        self.left_out: Sequence[str] = cluster.left_out
        self._running: dict[Any, Task] = {}
        self._token = secrets.token_hex(16)  # nobody else can guess where the study keeps files on a node
        self._put: dict[str, Shipped] = {}
        self._used: set[str] = set()

    def fits(self, task: Task, running: Sequence[Task]) -> bool:
        """Whether the cluster has room for it. Tasks that must be alone run when all others are done, one a node."""
        if not running:
            return True
        if len(running) >= (self._limit or len(running) + 1) or any(t.alone != task.alone for t in running):
            return False
        if task.alone:
            return len(running) < sum(cpus == self._cluster.largest for cpus in self._cluster.nodes.values())
        return task.threads + sum(other_task.threads for other_task in running) <= sum(self._cluster.nodes.values())

    def start(self, task: Task) -> None:
        """Hand the task to the cluster. It reserves its threads, or a whole node where it must be alone."""
        self._cluster.count()
        if task.threads > self._cluster.largest:
            text = f"no machine of the cluster has {task.threads} processors for it"
            raise WorkerError(text, "VariantUnavailable", "use fewer --threads")
        request = {
            "environment": bit_settings() | dict(task.environment),
            "function": task.function,
            "payload": task.payload(),
            "timeout_s": self._timeout_s,
            "machine": machine(task.environment),
            "writes": list(task.writes),
            "scratch": self._token,
        }
        for path in task.reads.keys() - self._put.keys():
            self._put[path] = Shipped.of(Path(path), task.reads[path], self._ray.put)
        call = self._call.options(
            num_cpus=self._cluster.largest if task.alone else task.threads,
            max_retries=RETRIES,
            label_selector=self._cluster.selector,
            runtime_env={"env_vars": request["environment"]},
            name=task.function,
        ).remote(request, {path: self._put[path] for path in task.reads})
        self._running[call] = task

    def wait(self) -> tuple[Task, Callable[[], Any]]:
        """The first started task to end. Raises EngineError where the cluster has had no node left for a while."""
        since = time.monotonic()
        while True:
            stopping.look()
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_POLL_S)
            if ready:
                task = self._running.pop(ready[0])
                try:
                    answer = self._ray.get(ready[0])
                except Exception as error:  # of Ray
                    died = type(getattr(error, "cause", None) or error).__name__
                    text = f"its machine or process died {RETRIES + 1} times: {died}"
                    return failing(task, WorkerError(text, "crash"))
                if "unlike" not in answer:
                    self._used.add(answer["node"])
                    self.machines = len(self._used)
                    return task, partial(self._result, task, answer)
                self._cluster.leave_out(answer["node"], unlike(machine(task.environment), answer["unlike"]))
                try:
                    self.start(task)
                except WorkerError as error:
                    return failing(task, error)
            self._cluster.count()
            if self._cluster.nodes:
                since = time.monotonic()
            elif time.monotonic() - since > self._timeout_s:
                raise EngineError(f"the Ray cluster has had no usable machine for {self._timeout_s:g} s")

    def _result(self, task: Task, answer: Mapping[str, Any]) -> Any:
        """Write what the task wrote, pass on what it emitted, and give or raise its result."""
        if error := answer.get("error"):
            if error.pop("storage"):
                raise StoreError(f"on a machine of the cluster: {error['reason']}")
            if error["kind"] == "killed":
                raise EngineError(f"on a machine of the cluster: {error['reason']}")
            raise WorkerError(**error)
        for path, content in zip(task.writes, answer["files"], strict=True):
            write_bytes(Path(path), [content])
        for event in answer["events"]:
            task.on_event(event)
        return answer["result"]

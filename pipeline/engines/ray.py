"""The engine of a Ray cluster: tasks of Ray Core on machines that decide bits as this one does, results to this one.

Ray (an extra: requirements-ray.txt) is imported only here. A task is one call in a launcher of its node, as on one
machine: a variant that crashes is a result, and is not tried again; a node or process of Ray that dies is, elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.call import WorkerError
from pipeline.engines import Task
from pipeline.engines.ray_files import Shipped
from pipeline.engines.ray_node import answer_call, tell_machine
from pipeline.environment import available_cores, bit_settings, machine
from pipeline.errors import EngineError, UsageError
from pipeline.store import StoreError, write_bytes

ROOT = Path(__file__).resolve().parents[2]
SENT = ("models", "pipeline")
"""What a node needs of the program; it has the libraries itself."""
RETRIES = 3  # of a task whose node or Ray process died
INSTALL = "python -m pip install -r requirements-ray.txt"
_POLL_S = 5.0
_PROBE_S = 120.0


class RayEngine:
    """Tasks on a cluster: the running one at ``address``, or one of its own on this machine. A context manager.

    ``limit``: at most so many tasks at once.
    """

    name = "ray"

    def __init__(self, address: str | None, limit: int | None, timeout_s: float, say: Callable[[str], None]) -> None:
        self._address, self._limit, self._timeout_s, self._say = address, limit, timeout_s, say
        self._stack = contextlib.ExitStack()
        self._running: dict[Any, Task] = {}
        self._failed: list[tuple[Task, Exception]] = []
        self._nodes: dict[str, float] = {}  # CPUs of each that takes part
        self._others: set[str] = set()
        self._put: dict[str, Shipped] = {}
        self._used: set[str] = set()
        self.left_out: list[str] = []

    @property
    def machines(self) -> int:
        """How many nodes have answered a call."""
        return len(self._used)

    def __enter__(self) -> Self:
        self._stack.enter_context(_set(_environment(self._address)))
        try:
            self._ray = importlib.import_module("ray")
        except ImportError as error:
            self._stack.close()
            raise UsageError("ray-missing", f"--engine ray needs the package ray ({error}): {INSTALL}") from None
        try:
            self._connect()
            self._look()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()
        self._stack.close()

    def _connect(self) -> None:
        own = {"num_cpus": available_cores(), "include_dashboard": False}
        before = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=self._address or "local",
                **({} if self._address else own),
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env={"working_dir": str(ROOT), "excludes": _all_but(SENT)},
            )
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise UsageError(
                "ray-cluster",
                f"no Ray cluster at {self._address or 'this machine'}: {type(error).__name__}: {text}. Check the "
                "address and the token (RAY_AUTH_TOKEN_PATH); RAY_AUTH_MODE=disabled where the cluster asks for none",
            ) from None
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray's own handler ends the process before its workers
        self._call = self._ray.remote(answer_call)

    def _look(self) -> None:
        """Ask every node what it is; those whose evidence would be another condition's take no part."""
        here, strategy = machine(), importlib.import_module("ray.util.scheduling_strategies")
        ask = self._ray.remote(tell_machine)
        asked = {
            node: ask.options(
                num_cpus=0,
                scheduling_strategy=strategy.NodeAffinitySchedulingStrategy(node, soft=False),
                runtime_env={"env_vars": bit_settings()},
            ).remote()
            for node in self._alive()
        }
        self._ray.wait(list(asked.values()), num_returns=len(asked), timeout=_PROBE_S)
        for node, answer in asked.items():
            try:
                said = self._ray.get(answer, timeout=0)
            except Exception as error:
                self._leave_out(node, f"it did not answer: {_last_line(error)}")
                continue
            if said != here:
                self._leave_out(node, unlike(here, said))
        self._count()
        if not self._nodes:
            raise UsageError(
                "ray-cluster",
                "no machine of the cluster is like this one, so no evidence of it could stand in one study: run the "
                "study on one of them and use python run.py compare",
            )

    def _alive(self) -> dict[str, float]:
        return {
            node["NodeID"]: node["Resources"]["CPU"]
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
        }

    def _count(self) -> None:
        before = self._nodes
        self._nodes = {node: cpus for node, cpus in self._alive().items() if node not in self._others}
        for _ in before.keys() - self._nodes.keys() - self._others:
            self._say("a machine of the cluster is gone: what ran there runs again on another")

    def _leave_out(self, node: str, why: str) -> None:
        self._others.add(node)
        self.left_out.append(f"a machine of the cluster took no part, being another condition: {why}")
        self._say(self.left_out[-1])

    def fits(self, task: Task, running: Sequence[Task]) -> bool:
        """Whether the cluster has room for it. Tasks that must be alone run when all others are done, one a node."""
        if not running:
            return True
        if len(running) >= (self._limit or len(running) + 1) or any(one.alone != task.alone for one in running):
            return False
        if task.alone:
            return len(running) < sum(cpus == self._largest for cpus in self._nodes.values())
        return task.threads + sum(one.threads for one in running) <= sum(self._nodes.values())

    @property
    def _largest(self) -> float:
        return max(self._nodes.values(), default=0.0)

    def start(self, task: Task) -> None:
        """Hand the task to the cluster. It reserves its threads, or a whole node where it must be alone."""
        self._count()
        if task.threads > self._largest:
            text = f"no machine of the cluster has {task.threads} processors for it"
            self._failed.append((task, WorkerError(text, "VariantUnavailable", "use fewer --threads")))
            return
        request = {
            "environment": bit_settings() | dict(task.environment),
            "function": task.function,
            "payload": task.payload(),
            "timeout_s": self._timeout_s,
            "machine": machine(task.environment),
            "writes": list(task.writes),
        }
        files = {path: self._shipped(path, content) for path, content in task.reads.items()}
        label = {"ray.io/node-id": f"!in({','.join(sorted(self._others))})"} if self._others else None
        call = self._call.options(
            num_cpus=self._largest if task.alone else task.threads,
            max_retries=RETRIES,
            label_selector=label,
            runtime_env={"env_vars": request["environment"]},
            name=task.function,
        ).remote(request, files)
        self._running[call] = task

    def _shipped(self, path: str, content: str) -> Shipped:
        found = self._put.get(path)
        if found is None:
            found = self._put[path] = Shipped.of(Path(path), content, self._ray.put)
        return found

    def wait(self) -> tuple[Task, Callable[[], Any]]:
        """The first started task to end. Raises EngineError where the cluster has had no node left for a while."""
        since = time.monotonic()
        while not self._failed:
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_POLL_S)
            if ready:
                task = self._running.pop(ready[0])
                try:
                    answer = self._ray.get(ready[0])
                except Exception as error:
                    self._failed.append((task, WorkerError(_reason(error), "crash")))
                    break
                if "unlike" not in answer:
                    self._used.add(answer["node"])
                    return task, partial(self._result, task, answer)
                self._leave_out(answer["node"], unlike(machine(task.environment), answer["unlike"]))
                self._count()
                self.start(task)
            self._count()
            if self._nodes:
                since = time.monotonic()
            elif time.monotonic() - since > self._timeout_s:
                raise EngineError(f"the Ray cluster has had no usable machine for {self._timeout_s:g} s")
        task, failure = self._failed.pop()

        def failed() -> Any:
            raise failure

        return task, failed

    def _result(self, task: Task, answer: Mapping[str, Any]) -> Any:
        """Write what the task wrote, pass on what it emitted, and give or raise its result."""
        if error := answer.get("error"):
            if error.pop("storage"):
                raise StoreError(f"on a machine of the cluster: {error['reason']}")
            raise WorkerError(**error)
        for path, content in zip(task.writes, answer["files"], strict=True):
            write_bytes(Path(path), [content])
        for event in answer["events"]:
            task.on_event(event)
        return answer["result"]


def _all_but(names: Sequence[str]) -> list[str]:
    """Patterns for everything else beside these folders."""
    return ["__pycache__", *(f"/{one.name}" for one in ROOT.iterdir() if one.name not in names)]


def unlike(here: str, there: str) -> str:
    """What one machine has that the other has not, in words."""
    mine, theirs = (set(text.replace("; ", ", ").split(", ")) for text in (here, there))
    more, less = (", ".join(sorted(part)) or "nothing more" for part in (theirs - mine, mine - theirs))
    return f"{more} there, {less} here"


def _reason(error: Exception) -> str:
    """One line of an error of Ray."""
    cause = getattr(error, "cause", None) or error
    return f"its machine or process died {RETRIES + 1} times: {type(cause).__name__}"


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)[
        :300
    ]


def _environment(address: str | None) -> dict[str, str]:
    """No statistics to Ray's makers, no warnings, and a token: a cluster runs whatever it is sent."""
    found = {"RAY_USAGE_STATS_ENABLED": "0"}
    if address is None:
        return found | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return found | {"RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}


@contextlib.contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

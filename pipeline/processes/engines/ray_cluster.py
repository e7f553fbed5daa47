"""The cluster that Ray's tasks run on: reached, asked what its machines are, and watched for those that die.

Ray (an extra: requirements-ray.txt) is imported only here.
"""

import contextlib
import importlib
import logging
import os
import re
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import isobatch
from isobatch import PROGRAM
from isobatch.models.shared.extras import to_add
from isobatch.pipeline.machine.environment import available_cores, bit_settings, machine
from isobatch.pipeline.records.errors import UsageError

ROOT = Path(isobatch.__file__).resolve().parent.parent
SENT = ("isobatch",)
"""What a node needs of the program; it has the libraries itself."""
_PROBE_S = 120.0
_REACH_S = 10.0  # Ray itself tries a machine that does not answer for minutes


class RayCluster:
    """The running cluster at ``address``, or one of its own on this machine. A context manager.

    ``nodes``: the processors of each machine that takes part; ``left_out``: a line for each that does not. Raises
    UsageError ("ray-missing", "ray-cluster") on entering where it cannot be had.
    """

    def __init__(self, address: str | None, say: Callable[[str], None]) -> None:
        self._address, self._say = address, say
        self._others: set[str] = set()
        self.nodes: dict[str, float] = {}
        self.left_out: list[str] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_set(_environment(self._address)))
            try:
                self.ray = importlib.import_module("ray")
            except ImportError as error:
                text = f"--engine ray needs the package ray ({error}): {to_add('ray')}"
                raise UsageError("ray-missing", text) from None
            stack.callback(self.ray.shutdown)
            _reach(self._address)
            self._connect()
            self._look()
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _connect(self) -> None:
        others = [f"/{path.name}" for path in ROOT.iterdir() if path.name not in SENT]
        own = {"num_cpus": available_cores(), "include_dashboard": False}
        before = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(
                address=self._address or "local",
                **({} if self._address else own),
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env={"working_dir": str(ROOT), "excludes": ["__pycache__", *others]},
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

    @property
    def largest(self) -> float:
        """The most processors that one machine has."""
        return max(self.nodes.values(), default=0.0)

    @property
    def selector(self) -> dict[str, str] | None:
        """The labels of Ray that keep a task off the machines that take no part."""
        return {"ray.io/node-id": f"!in({','.join(sorted(self._others))})"} if self._others else None

    def count(self) -> None:
        """Look which machines are left."""
        before = self.nodes
        self.nodes = {node: cpus for node, cpus in self._alive().items() if node not in self._others}
        for _ in before.keys() - self.nodes.keys() - self._others:
            self._say("a machine of the cluster is gone: what ran there runs again on another")

    def leave_out(self, node: str, why: str) -> None:
        """Let a machine take no part, and say so."""
        self._others.add(node)
        self.left_out.append(f"a machine of the cluster took no part, being another condition: {why}")
        self._say(self.left_out[-1])

    def _look(self) -> None:
        """Ask every node what it is; those whose evidence would be another condition's take no part."""
        here, strategy = machine(), importlib.import_module("ray.util.scheduling_strategies")
        ask = self.ray.remote(machine)
        asked = {
            node: ask.options(
                num_cpus=0,
                scheduling_strategy=strategy.NodeAffinitySchedulingStrategy(node, soft=False),
                runtime_env={"env_vars": bit_settings()},
            ).remote()
            for node in self._alive()
        }
        self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=_PROBE_S)
        for node, answer in asked.items():
            try:
                said = self.ray.get(answer, timeout=0)
            except Exception as error:
                self.leave_out(node, f"it did not answer: {_last_line(error)}")
                continue
            if said != here:
                self.leave_out(node, unlike(here, said))
        self.count()
        if not self.nodes:
            raise UsageError(
                "ray-cluster",
                "no machine of the cluster is like this one, so no evidence of it could stand in one study: run the "
                f"study on one of them and use {PROGRAM} compare",
            )

    def _alive(self) -> dict[str, float]:
        return {
            node["NodeID"]: node["Resources"]["CPU"]
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
        }


def _reach(address: str | None) -> None:
    """Raises UsageError where nothing listens at HOST:PORT; other addresses (such as ``auto``) are Ray's to read."""
    match = re.fullmatch(r"\[?([^/\[\]]+)\]?:([0-9]+)", address or "")
    if match is None:
        return
    try:
        with socket.create_connection((match[1], int(match[2])), timeout=_REACH_S):
            return
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            "ray-cluster", f"no Ray cluster at {address}: {why}. Start one (docs/scale.md), or correct --ray-address"
        ) from None


def unlike(here: str, there: str) -> str:
    """What one machine has that the other has not, in words."""
    mine, theirs = (set(text.replace("; ", ", ").split(", ")) for text in (here, there))
    more, less = (", ".join(sorted(part)) or "nothing more" for part in (theirs - mine, mine - theirs))
    return f"{more} there, {less} here"


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)[
        :300
    ]


def _environment(address: str | None) -> dict[str, str]:
    """No statistics to Ray's makers, no warnings, and a token: a cluster runs whatever it is sent."""
    environment = {"RAY_USAGE_STATS_ENABLED": "0"}
    if address is None:
        return environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return environment | {"RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}


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

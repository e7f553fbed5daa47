"""What runs inside a contestant's worker: open it, and make a call whenever the race says so."""

import json
import os
import time
from contextlib import ExitStack
from functools import cache
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.change import Remade
from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import Compiling, Runner
from isobatch.pipeline.deploy.in_worker import changed
from isobatch.pipeline.evidence.passes import call
from isobatch.pipeline.machine.disturbance import waited_s, waits
from isobatch.pipeline.machine.memory import peak_memory_bytes
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.wire import Crossing, Emit
from isobatch.pipeline.race.crossing import Listening, Opening, Ready, Turn, TurnAsked, near
from isobatch.pipeline.repair.rungs.recheck import Rechecked


def contest(payload: dict[str, Any], emit: Emit) -> None:
    """Open the contestant and answer requests on the race's socket, JSON each, until the race hangs up.

    ``payload``: an ``Opening`` and a ``Listening``. What is sent first is a ``Ready``; a request is a ``TurnAsked``,
    its answer a ``Turn``.
    """
    with ExitStack() as stack:
        line = stack.enter_context(connected(Path(Listening.of(payload).socket)))
        begin = time.perf_counter()
        asked = Opening.of(payload)
        runner = opened(asked, stack).shipped
        images = asked.images
        if isinstance(runner, Compiling):
            runner.compile_for(images.read(0, 1))
        _send(line, Ready(os.getpid(), time.perf_counter() - begin))

        @cache
        def batch(n: int) -> NDArray[np.float32]:
            return images.read(0, n)

        while (said := _heard(line)) is not None:
            turn = TurnAsked.of(json.loads(said))
            _send(line, _turn(runner, batch(turn.n), turn.calls))


def _heard(line: Connection) -> bytes | None:
    """What the race says next; None where it has hung up."""
    try:
        return line.recv_bytes()
    except EOFError:
        return None


def connected(path: Path) -> Connection:
    """A connection to the listener at ``path``."""
    with near(path) as short:
        return Client(short, "AF_UNIX")


class Runners(NamedTuple):
    """The live native runner, and what is shipped of it: itself, or its repaired self."""

    native: Runner
    shipped: Runner


def opened(asked: Opening, stack: ExitStack) -> Runners:
    """What is asked for; it lives until the stack ends."""
    seen = asked.delivery.change.examples if asked.delivery else 0  # by which the repair is made again
    values = max(asked.most * asked.images.values, seen * asked.examples.values)
    native = stack.enter_context(open_runner(asked.variant, asked.artifact, asked.settings, values))
    if not asked.delivery:
        return Runners(native, native)
    repaired = rebuilt(asked.delivery, native, asked.examples, asked.outcome)
    return Runners(native, native if repaired is native else stack.enter_context(repaired))


def rebuilt(delivery: Remade, runner: Any, examples: Images, outcome: Outcome = CLASSES) -> Runner:
    """The repaired runner, from the live native one, within whose block it is used.

    ``examples``: the set on which the repair was found. ``outcome``: what it keeps, where it keeps no bytes.
    """
    change, own = delivery.change, delivery.serving
    if change.recheck is not None:
        return Rechecked(runner, change.recheck, outcome)
    if own.threads:
        threaded: Runner = runner.with_threads(own.threads, own.streams)
        return threaded
    return changed(runner, change, examples.read(0, change.examples))


def _turn(runner: Runner, images: NDArray[np.float32], calls: int) -> Turn:
    """One untimed call, then the timed ones."""
    call(runner, images)
    seconds, waited = [], []
    for _ in range(calls):
        before = waits()
        seconds.append(call(runner, images)[1])
        waited.append(waited_s(before, waits()))
    return Turn(tuple(seconds), tuple(waited), peak_memory_bytes())


def _send(line: Connection, said: Crossing) -> None:
    line.send_bytes(json.dumps(said.to_json()).encode())

"""Faults of a worker are answers: each is named, and the next call works. The workers are real processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isobatch.pipeline.processes import pool as execute
from isobatch.pipeline.processes import stopping
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.processes.stopping import Terminated
from tests.waiting import ENDS_S, until

HERE = "tests.pipeline.processes.test_pool"


class Refused(Exception):
    reason = "no such engine"
    remedy = "install it"
    code = "engine"


def echo(payload: Any, emit: Any) -> Any:
    emit({"half": 1})
    sys.stdout.write("libraries print things")
    return {"payload": payload, "threads": os.environ.get("OMP_NUM_THREADS")}


def fault(payload: str, emit: Any) -> None:
    if payload == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if payload == "exit":
        os._exit(7)
    if payload == "hang":
        time.sleep(2 * ENDS_S)
    if payload == "fill":
        kept = os.urandom(1 << 20) * 400  # taking it down lasts longer than a process's end
        emit([os.getpid(), len(kept)])
        time.sleep(2 * ENDS_S)
    if payload == "leave":
        if (child := os.fork()) == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
        emit(child)
        return
    if payload == "refuse":
        raise Refused("refused")
    raise ValueError("two\nlines")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patch, Workers(timeout_s=ENDS_S) as pool:
        patch.setattr(execute, "PRELOAD", "json")
        yield pool


def test_a_result_comes_back_and_events_on_the_way(workers: Workers) -> None:
    events: list[Any] = []
    found = workers.call({"OMP_NUM_THREADS": "3"}, f"{HERE}:echo", [1, "ü"], events.append)
    assert found == {"payload": [1, "ü"], "threads": "3"}
    assert events == [{"half": 1}]


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("crash", "crash", "SIGSEGV"),
        ("exit", "crash", "code 7"),
        ("error", "ValueError", "two lines"),
        ("refuse", "Refused", "no such engine"),
    ],
)
def test_a_fault_is_named_and_the_next_call_works(workers: Workers, what: str, kind: str, text: str) -> None:
    with pytest.raises(WorkerError, match=text) as raised:
        workers.call({}, f"{HERE}:fault", what)
    assert raised.value.kind == kind
    assert raised.value.remedy == ("install it" if what == "refuse" else None)
    assert workers.call({}, f"{HERE}:echo", 5)["payload"] == 5


def test_a_silent_worker_is_ended(workers: Workers) -> None:
    workers.call({}, f"{HERE}:echo", 0)
    workers.timeout_s = 0.5
    with pytest.raises(WorkerError, match="silent for") as raised:
        workers.call({}, f"{HERE}:fault", "hang")
    assert raised.value.kind == "timeout"
    workers.timeout_s = ENDS_S
    assert workers.call({}, f"{HERE}:echo", 1)["payload"] == 1


def test_a_launcher_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "PRELOAD", "no_such_module")
    with Workers(timeout_s=ENDS_S) as pool, pytest.raises(WorkerError, match="no_such_module"):
        pool.call({}, f"{HERE}:echo", 0)


def test_no_process_outlives_a_killed_parent() -> None:
    code = (
        "import sys\nfrom isobatch.pipeline.processes import pool as execute\nexecute.PRELOAD = 'json'\n"
        f"workers = execute.Workers({ENDS_S})\n"
        "print(workers.launcher({}).process.pid, flush=True)\n"
        f"workers.call({{}}, '{HERE}:fault', 'hang')\n"
    )
    root = Path(__file__).resolve().parents[3]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    launcher = int(parent.stdout.readline())
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    pids = until(lambda: children.read_text().split(), parent)
    assert len(pids) == 1
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(_alive(int(pid)) for pid in [launcher, *pids]))


def test_a_worker_is_gone_before_its_study_is_however_often_it_is_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    close = execute.Launcher.close

    def while_asked(launcher: execute.Launcher) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        close(launcher)

    monkeypatch.setattr(execute, "PRELOAD", "json")
    monkeypatch.setattr(execute.Launcher, "close", while_asked)
    pids: list[int] = []

    def told(event: list[int]) -> None:
        pids.append(event[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers(timeout_s=ENDS_S) as workers:
        workers.call({}, f"{HERE}:fault", "fill", told)
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_signal_while_workers_end_is_heard_afterwards(
    monkeypatch: pytest.MonkeyPatch, listening: None, fails: bool
) -> None:
    ended: list[execute.Launcher] = []
    close = execute.Launcher.close

    def while_asked(launcher: execute.Launcher) -> None:
        signal.raise_signal(signal.SIGTERM)
        close(launcher)
        ended.append(launcher)

    monkeypatch.setattr(execute, "PRELOAD", "json")
    monkeypatch.setattr(execute.Launcher, "close", while_asked)
    with pytest.raises(Terminated), Workers(timeout_s=ENDS_S) as workers:
        workers.launcher({})
        if fails:
            raise WorkerError("an ordinary end")
    assert len(ended) == 1


def test_a_signal_is_heard_again_after_one_that_was_swallowed(listening: None) -> None:
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_who_left_the_group_of_a_worker_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "PRELOAD", "json")
    left: list[int] = []
    with Workers(timeout_s=ENDS_S) as workers:
        workers.call({}, f"{HERE}:fault", "leave", left.append)
    os.kill(left[0], signal.SIGKILL)  # it was still there


@pytest.fixture
def listening() -> Iterator[None]:
    """Signals mean what they mean to a command, whatever this process has inherited."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    stopping.listen()
    yield
    stopping.listen()
    for number, handler in before.items():
        signal.signal(number, handler)


SIGNALS = pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)


@SIGNALS
def test_a_signal_that_a_library_swallows_ends_the_waiting_all_the_same(
    monkeypatch: pytest.MonkeyPatch, listening: None, number: signal.Signals, raised: type[BaseException]
) -> None:
    monkeypatch.setattr(execute, "PRELOAD", "json")

    def told(event: list[int]) -> None:
        with contextlib.suppress(BaseException):  # as an import inside scipy does
            signal.raise_signal(number)

    with pytest.raises(raised), Workers(timeout_s=ENDS_S) as workers:
        workers.call({}, f"{HERE}:fault", "fill", told)


@SIGNALS
def test_who_is_impatient_stops_no_tidying_up(
    listening: None, number: signal.Signals, raised: type[BaseException]
) -> None:
    tidied = False
    with pytest.raises(raised):
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            tidied = True
    assert tidied


def test_a_caller_who_blocks_signals_blocks_none_of_a_launcher(
    monkeypatch: pytest.MonkeyPatch, listening: None
) -> None:
    """As in a user's own process, which need not listen: a launcher that hears of no end waits for ever."""
    monkeypatch.setattr(execute, "PRELOAD", "json")
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    with Workers(timeout_s=ENDS_S) as workers:
        assert workers.call({}, f"{HERE}:echo", 1)["payload"] == 1


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

"""The self-test from its faults to its outcomes: each looked into by a fresh worker, as a study's variants are."""

from collections.abc import Sequence

from isobatch.models.planted import Fault
from isobatch.pipeline.explain.causes import all_causes
from isobatch.pipeline.machine.environment import worker_settings
from isobatch.pipeline.prepare.state import Progress
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.tools.selftest.crossing import Examined, FaultAsked, Innocence, InnocentsAsked
from isobatch.pipeline.tools.selftest.judge import FaultOutcome, SelfTest, judged

THREADS = 2
"""Threads of every search for a fault: one of them shows only with several. Innocent networks are given one."""

_TIMEOUT_S = 300.0
_FAULT_COST, _TRIAL_COST = 3.0, 0.1  # rough seconds, for the progress display


def run_selftest(faults: Sequence[Fault], trials: int, seed: int, progress: Progress) -> SelfTest:
    """Look for these faults, and for none in ``trials`` innocent networks. A worker that fails leaves one unchecked."""
    progress.plan(_FAULT_COST * len(faults) + _TRIAL_COST * trials)
    progress.step("starting workers", 0.0)
    with Workers(_TIMEOUT_S) as workers:
        outcomes = tuple(_outcome(workers, fault, seed, progress) for fault in faults)
        acquitted, failed = _innocence(workers, trials, seed, progress) if trials else (None, None)
    return SelfTest(outcomes, acquitted, failed, THREADS, seed)


def _outcome(workers: Workers, fault: Fault, seed: int, progress: Progress) -> FaultOutcome:
    label = f"looking for {fault.name} in {fault.layer}"
    progress.step(label, 0.0)
    asked = FaultAsked(fault.name, THREADS, seed).to_json()
    try:
        answer = workers.call(worker_settings(THREADS), "isobatch.pipeline.tools.selftest.in_worker:examine", asked)
    except WorkerError as error:
        return FaultOutcome(fault, "not checked", error.reason)
    finally:
        progress.step(label, _FAULT_COST)
    return judged(fault, Examined.of(answer), {cause.name for cause in all_causes()})


def _innocence(workers: Workers, trials: int, seed: int, progress: Progress) -> tuple[Innocence | None, str | None]:
    label = f"{trials} networks without a fault"
    progress.step(label, 0.0)
    try:
        answer = workers.call(
            worker_settings(THREADS),
            "isobatch.pipeline.tools.selftest.in_worker:innocents",
            InnocentsAsked(trials, 1, seed).to_json(),
            lambda event: progress.step(label, _TRIAL_COST * Told.of(event).images),
        )
    except WorkerError as error:
        return None, error.reason
    return Innocence.of(answer), None

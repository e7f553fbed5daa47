"""The check of every variant asked for, each in a worker of its own."""

import os
from collections.abc import Callable
from typing import Literal

import isobatch
from isobatch.models.registry import find_variant
from isobatch.pipeline.machine.environment import cpu_name, worker_settings
from isobatch.pipeline.prepare.artifacts import NO_EXPORT
from isobatch.pipeline.processes.pool import WorkerError, Workers
from isobatch.pipeline.processes.wire import Told
from isobatch.pipeline.records.errors import UsageError, worst
from isobatch.pipeline.records.study import Tool
from isobatch.pipeline.storage.cache import in_use
from isobatch.pipeline.storage.places import cache_root
from isobatch.pipeline.tools.check.asked import CheckRequest, VariantAsked
from isobatch.pipeline.tools.check.next_step import next_step
from isobatch.pipeline.tools.check.records import CheckReport, VariantChecked


def check_network(asked: CheckRequest, timeout_s: float, say: Callable[[str], None]) -> CheckReport:
    """Every variant in turn. Raises UsageError where the network or its inputs cannot be had.

    ``timeout_s``: how long a worker may be silent.
    """
    checked: list[VariantChecked] = []
    no_export: WorkerError | None = None  # tried once: it takes minutes, and fails again
    with Workers(timeout_s) as workers, in_use(cache_root()):
        for variant in asked.variants:
            if no_export is not None and find_variant(variant).runtime != "torch":
                checked.append(_not_measured(variant, no_export))
                continue
            try:
                checked.append(_variant(asked, variant, workers, say))
            except WorkerError as error:
                if error.kind != NO_EXPORT:
                    raise
                checked.append(_not_measured(variant, error))
                no_export = error
    return CheckReport(
        tool=Tool(version=isobatch.__version__),
        cpu=cpu_name(),
        network=asked.target.name,
        kind=asked.target.kind,
        batch_sizes=[*asked.batch_sizes],
        variants=checked,
        next=next_step(asked, checked, worst(*(variant.exit_code for variant in checked))),
    )


def _variant(asked: CheckRequest, variant: str, workers: Workers, say: Callable[[str], None]) -> VariantChecked:
    wanted = VariantAsked(asked, variant, str(cache_root()), os.getcwd()).to_json()
    environment = worker_settings(asked.threads)
    say(f"{variant}: loading libraries")
    try:
        record = workers.call(
            environment, "isobatch.pipeline.tools.check.in_worker:check", wanted, lambda event: say(Told.of(event).say)
        )
    except WorkerError as error:
        if error.kind == "UsageError":
            raise UsageError(error.code or "network", error.reason) from error
        if error.kind in ("launcher", NO_EXPORT):
            raise
        return _not_measured(variant, error)
    return VariantChecked(**record)


def _not_measured(variant: str, error: WorkerError) -> VariantChecked:
    status: Literal["unavailable", "failed"] = "unavailable" if error.kind == "VariantUnavailable" else "failed"
    verdict: Literal["unverified"] | None = "unverified" if error.kind == "Unverified" else None
    known = ("Unverified", "VariantUnavailable", "crash", "timeout")
    reason = error.reason if error.kind in known else f"{error.kind}: {error.reason}"
    return VariantChecked(variant=variant, status=status, verdict=verdict, reason=reason, remedy=error.remedy or "")

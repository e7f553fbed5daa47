"""``ops``: single operations at ResNet50's shapes, N = 1 against N = k, in every precision."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.config.numbers import batches, limited, seconds, whole
from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.tools.ops.measure import OpsReport

_LARGEST = 128  # images of the widest operation, as float64 results: 800 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The conditions, and how much to say."""
    parser.add_argument("--batch-sizes", default="2,3,4,8,16,32", help="batch sizes to test: 2,4 or 2-8")
    parser.add_argument("--threads", metavar="T", help="how many threads an operation uses (default: all cores)")
    parser.add_argument("--seed", default="42069", help="the seed of the operations' values")
    parser.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the map, or all as JSON. DONE, or PARTIAL where an arithmetic could not be measured."""
    from isobatch.pipeline.machine.environment import available_cores
    from isobatch.reports.pages.ops_map import sections
    from isobatch.reports.screen.terminal import print_sections

    sizes = batches(limited("--batch-sizes", arguments.batch_sizes, _LARGEST), "row")
    threads = whole("--threads", arguments.threads, 1) if arguments.threads else available_cores()
    seed, timeout_s = whole("--seed", arguments.seed, 1), seconds("--timeout", arguments.timeout)
    report = _measured(sizes, threads, seed, timeout_s, arguments.quiet)
    if arguments.json:
        print(report.model_dump_json(indent=1))
    else:
        print_sections(sections(report), sys.stdout)
    return report.exit_code()


def _measured(sizes: list[int], threads: int, seed: int, timeout_s: float, quiet: bool) -> OpsReport:
    from isobatch.models.operations.table import ARITHMETICS, OPERATIONS
    from isobatch.pipeline.machine.environment import read_environment, worker_settings
    from isobatch.pipeline.processes.pool import Workers
    from isobatch.pipeline.records.study import Tool
    from isobatch.pipeline.tools.ops.measure import OpsReport, measure_arithmetics
    from isobatch.reports.screen.progress import ScreenProgress

    with ScreenProgress(quiet=quiet, stream=sys.stderr) as progress, Workers(timeout_s) as workers:
        progress.plan(len(ARITHMETICS) * len(OPERATIONS))
        results = measure_arithmetics(workers, threads, sizes, seed, progress.step)
    return OpsReport(
        tool=Tool(version=VERSION),
        environment=read_environment(threads, {}, worker_settings(threads)),
        seed=seed,
        batch_sizes=sizes,
        results=results,
    )


COMMAND = Command(
    usage="",
    summary="single operations at ResNet50's shapes, N = 1 against N = k",
    add_arguments=add_arguments,
    run=run,
)

"""``ops``: single operations at ResNet50's shapes, N = 1 against N = k, in every precision."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from isobatch.pipeline.config.flags import VERSION
from isobatch.pipeline.config.numbers import batches, limited, seconds, whole
from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.tools.ops.measure import OpsReport

_LARGEST = 128  # images of the widest operation, as float64 results: 800 MB
_FILES = ("ops.json", "ops.html", "ops.md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The conditions, and where to write."""
    parser.add_argument("--batch-sizes", default="2,3,4,8,16,32", help="batch sizes to test: 2,4 or 2-8")
    parser.add_argument("--threads", metavar="T", help="how many threads an operation uses (default: all cores)")
    parser.add_argument("--seed", default="42069", help="the seed of the operations' values")
    parser.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    parser.add_argument("--out", metavar="DIR", help=f"also write {', '.join(_FILES)} there")
    parser.add_argument("--verbose", action="store_true", help="print every figure, not only the map")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the map, write it where asked. DONE, or PARTIAL where an arithmetic could not be measured."""
    from isobatch.pipeline.machine.environment import available_cores
    from isobatch.pipeline.storage.files import asked_file

    sizes = batches(limited("--batch-sizes", arguments.batch_sizes, _LARGEST), "row")
    threads = whole("--threads", arguments.threads, 1) if arguments.threads else available_cores()
    seed, timeout_s = whole("--seed", arguments.seed, 1), seconds("--timeout", arguments.timeout)
    for name in _FILES if arguments.out else ():
        asked_file(str(Path(arguments.out) / name))
    report = _measured(sizes, threads, seed, timeout_s, arguments.quiet)
    paths = _written(report, Path(arguments.out)) if arguments.out else []
    _print(report, paths, arguments)
    return report.exit_code()


def _measured(sizes: list[int], threads: int, seed: int, timeout_s: float, quiet: bool) -> OpsReport:
    from isobatch.models.operations.table import ARITHMETICS, OPERATIONS
    from isobatch.pipeline.machine.environment import read_environment, worker_settings
    from isobatch.pipeline.records.study import Tool
    from isobatch.pipeline.tools.ops.measure import OpsReport, measure_arithmetics
    from isobatch.pipeline.workers.pool import Workers
    from isobatch.reports.screen.progress import Progress

    with Progress(quiet=quiet, stream=sys.stderr) as progress, Workers(timeout_s) as workers:
        progress.plan(len(ARITHMETICS) * len(OPERATIONS))
        results = measure_arithmetics(workers, threads, sizes, seed, progress.step)
    return OpsReport(
        tool=Tool(version=VERSION),
        environment=read_environment(threads, {}, worker_settings(threads)),
        seed=seed,
        batch_sizes=sizes,
        results=results,
    )


def _written(report: OpsReport, folder: Path) -> list[Path]:
    from isobatch.pipeline.storage.files import write_bytes
    from isobatch.reports.files.html import page
    from isobatch.reports.files.markdown import document
    from isobatch.reports.pages.ops_map import TITLE, sections

    made = f"{report.tool.name} {report.tool.version}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    chapters = sections(report)
    texts = (report.model_dump_json(indent=1), page(TITLE, made, chapters), document(TITLE, made, chapters))
    paths = [folder / name for name in _FILES]
    for path, text in zip(paths, texts, strict=True):
        write_bytes(path, [text.encode()])
    return paths


def _print(report: OpsReport, paths: list[Path], arguments: argparse.Namespace) -> None:
    from isobatch.reports.pages.ops_map import sections
    from isobatch.reports.screen.terminal import print_sections

    if arguments.json:
        print(report.model_dump_json(indent=1))
    else:
        shown = [section for section in sections(report) if section.show != "folded" or arguments.verbose]
        print_sections(shown, sys.stdout)
    for path in paths:
        print(path, file=sys.stderr if arguments.json else sys.stdout)


COMMAND = Command(
    usage="",
    summary="single operations at ResNet50's shapes, N = 1 against N = k",
    add_arguments=add_arguments,
    run=run,
)

"""``repair --variant V``: make a variant batch-invariant, verify it over a scope, price it, write what to deploy."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isobatch import PROGRAM
from isobatch.pipeline.config.config import read_config
from isobatch.pipeline.config.flags import add_scope, study_parser
from isobatch.pipeline.records.errors import Exit, UsageError
from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.deploy.record import VerificationRecord
    from isobatch.pipeline.records.study import Repair

_DEFAULT_N = "1-32"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The variant, the rung, and the study's own flags for weights, inputs and conditions."""
    parser.add_argument("--variant", required=True, metavar="V", help="the variant to repair, as in --list-variants")
    parser.add_argument(
        "--rung", metavar="NAME", help="try only this rung of the ladder (default: the cheapest that holds)"
    )
    add_scope(parser, _DEFAULT_N)
    parser.add_argument(
        "--objective",
        choices=("throughput", "latency"),
        help="what a repair should cost least of (default: throughput)",
    )
    parser.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    parser.add_argument("--out", metavar="DIR", help="an empty or new folder (default: out/repaired-<variant>-<time>)")
    parser.add_argument("--offline", action="store_true", help="never download, not even a named choice")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Write the artifact; 1 where no rung holds, 3 where the variant is not to be had here."""
    from isobatch.models.spec.nearest import did_you_mean
    from isobatch.pipeline.prepare.own_arrays import on_arrays
    from isobatch.pipeline.processes.pool import WorkerError
    from isobatch.pipeline.repair.command import repair_variant
    from isobatch.pipeline.repair.crossing import UNREPAIRED
    from isobatch.pipeline.repair.deliver import NoRepair
    from isobatch.pipeline.repair.rungs import all_rungs
    from isobatch.reports.escape import clean
    from isobatch.reports.screen.progress import ScreenProgress

    names = [UNREPAIRED, *(rung.name for rung in all_rungs())]
    if arguments.rung not in (None, *names):
        near = did_you_mean(arguments.rung, names)
        raise UsageError("unknown-rung", f"unknown rung {arguments.rung!r}: {near} There are {', '.join(names)}")
    flags = vars(study_parser().parse_args([])) | vars(arguments) | {"variants": arguments.variant}
    config = read_config(argparse.Namespace(**flags))
    config = on_arrays(config, lambda text: None)
    if len(config.variants) != 1:
        raise UsageError("usage", "--variant takes one variant: repair the others one by one")
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = Path(arguments.out or f"out/repaired-{config.variants[0]}-{name}").resolve()
    try:
        with ScreenProgress(quiet=config.quiet, stream=sys.stderr) as progress:
            delivered = repair_variant(config, arguments.rung, folder, progress)
    except NoRepair as error:
        print(clean(str(error)), file=sys.stderr)
        return Exit.NOT_MET
    except WorkerError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        print(clean(f"{config.variants[0]} cannot be repaired here: {error.reason}{remedy}"), file=sys.stderr)
        return Exit.PARTIAL
    if arguments.json:
        print(delivered.record.model_dump_json(indent=1))
    else:
        for text in _told(delivered.record, delivered.repairs):
            print(clean(text))
        shown = _short(folder)
        print(f"{shown}/infer.py serves it without this project.")
        print(f"{PROGRAM} verify {shown} checks it again, here or on another machine.")
    return Exit.DONE


def _short(folder: Path) -> Path:
    """The folder as a user here would write it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _told(record: VerificationRecord, repairs: Sequence[Repair]) -> Iterator[str]:
    """What holds, over what, and what it costs, in a few lines; then what became of the other rungs."""
    from isobatch.pipeline.decide.repaired_variants import native_name
    from isobatch.pipeline.records.wording import counted, held, listed, sizes
    from isobatch.reports import numbers

    chosen = record.repair
    assert chosen is not None
    native = native_name(record.variant)
    threads = listed(counted(count, "thread") for count in record.threads)
    yield f"{native} is batch-invariant at {sizes(record.batch_sizes)} on {threads}, by {chosen.name}."
    if chosen.note:
        yield f"What was done: {chosen.note.rstrip('.')}."
    made = f"{counted(record.n_comparisons, 'comparison')} with the images alone"
    yield f"Verified: {chosen.scope}; then the written files in fresh processes without this project; in all {made}."
    same = "are, byte by byte, the native ones" if chosen.singles_as_native else "are not the native ones"
    yield f"The outputs of single images {same}."
    prices = [f"latency at N = 1: {numbers.ratio_interval(i)}" for i in chosen.latency_ratio.values()]
    prices += [f"throughput at N = {n}: {numbers.ratio_interval(i)}" for n, i in chosen.throughput_ratio.items()]
    if chosen.memory_ratio is not None:
        prices.append(f"peak memory of a serving process: {numbers.ratio(chosen.memory_ratio)}")
    if prices:
        yield f"Price, over the native network (median, 95 % limits): {'; '.join(prices)}."
    for repair in repairs:
        if repair.name != chosen.name:
            yield f"  {repair.name} {held(repair)}: {repair.note}"


COMMAND = Command(
    usage="--variant V",
    summary="make a variant batch-invariant; write what to deploy and its verification record",
    add_arguments=add_arguments,
    run=run,
)

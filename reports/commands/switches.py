"""``switches``: documented determinism switches: asked, read back, does the property hold, what it costs."""

import argparse
import sys

from isobatch.pipeline.config.config import read_config
from isobatch.pipeline.config.flags import add_scope, study_parser
from isobatch.pipeline.config.numbers import batches
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The variants, and the study's own flags for weights, inputs and conditions."""
    parser.add_argument("--variants", default="fp32,ort-fp32", help="a list, as in --list-variants")
    add_scope(parser, "2,3,4,8")
    parser.add_argument("--timeout", default="600", metavar="S", help="end a worker that is silent for S seconds")
    parser.add_argument("--offline", action="store_true", help="never download, not even a named choice")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Turn every switch, print a table a variant. DONE, or PARTIAL where something could not be run."""
    from isobatch.pipeline.tools.switches.measure import measure_switches
    from isobatch.reports.pages.switches import blocks
    from isobatch.reports.screen.progress import ScreenProgress
    from isobatch.reports.screen.terminal import print_blocks

    flags = vars(study_parser().parse_args([])) | vars(arguments)
    config = read_config(argparse.Namespace(**flags))
    batches(config.batch_sizes)
    with ScreenProgress(quiet=config.quiet, stream=sys.stderr) as progress:
        report = measure_switches(config, progress)
    if arguments.json:
        print(report.model_dump_json(indent=1))
    else:
        print_blocks(blocks(report), sys.stdout)
    return report.exit_code()


COMMAND = Command(
    usage="[--variants V]",
    summary="documented determinism switches: asked, read back, does the property hold, what it costs",
    add_arguments=add_arguments,
    run=run,
)

"""``selftest``: faults planted in small networks must be found and named; networks without any must not be accused."""

import argparse
import json
import sys

from isobatch.models.planted import FAULTS, Fault, find_fault
from isobatch.pipeline.config.numbers import whole
from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which faults, how many innocent networks, the seed, and how much to say."""
    parser.add_argument("--faults", default="all", help="which faults to plant: all, or a list: one-ulp,swapped-rows")
    parser.add_argument("--trials", default="200", metavar="N", help="networks without a fault to try")
    parser.add_argument("--seed", default="42069", help="the seed of weights and images")
    parser.add_argument("--verbose", action="store_true", help="also print the evidence of every intervention")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 0 where every fault was, 1 where one was missed, 3 where one could not be checked."""
    faults = _faults(arguments.faults)
    trials, seed = whole("--trials", arguments.trials, 0), whole("--seed", arguments.seed, 0)

    from isobatch.pipeline.tools.selftest.campaign import run_selftest
    from isobatch.pipeline.tools.selftest.judge import exit_code
    from isobatch.reports.pages.selftest import blocks
    from isobatch.reports.screen.progress import ScreenProgress
    from isobatch.reports.screen.terminal import print_blocks

    with ScreenProgress(quiet=arguments.quiet, stream=sys.stderr) as progress:
        test = run_selftest(faults, trials, seed, progress)
    if arguments.json:
        print(json.dumps(test.to_json(), indent=1, allow_nan=False))
    else:
        print_blocks(blocks(test, arguments.verbose), sys.stdout)
    return exit_code(test)


def _faults(text: str) -> tuple[Fault, ...]:
    if text == "all":
        return FAULTS
    try:
        return tuple(find_fault(name.strip()) for name in dict.fromkeys(text.split(",")))
    except KeyError as error:
        raise UsageError("unknown-fault", error.args[0]) from None


COMMAND = Command(
    usage="",
    summary="planted faults: each must be found in its layer and named; innocent networks must not be accused",
    add_arguments=add_arguments,
    run=run,
)

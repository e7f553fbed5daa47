"""``verify DIR``: run a shipped folder's verification record again on this machine, and say which claims hold."""

import argparse
import json
import sys
from pathlib import Path

from isobatch.pipeline.config.numbers import seconds
from isobatch.pipeline.records.errors import Exit
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A record, and whether its code is trusted."""
    parser.add_argument("record", metavar="RECORD", help="the folder that deploy or repair wrote, or its record.json")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the folder's own code and files whatever they are, with your rights (SECURITY.md says when)",
    )
    parser.add_argument("--timeout", default="600", metavar="S", help="end a process that is silent for S seconds")


def run(arguments: argparse.Namespace) -> int:
    """Print every claim; 1 where one fails."""
    from isobatch.pipeline.deploy.check import Checking, check, holding
    from isobatch.reports.escape import clean

    def say(text: str) -> None:
        print(clean(text), file=sys.stderr, flush=True)

    timeout_s = seconds("--timeout", arguments.timeout)
    claims = []
    for claim in check(Path(arguments.record), Checking(arguments.trust, timeout_s, say)):
        claims.append(claim)
        if not arguments.json:
            print(clean(f"{'holds' if claim.holds else 'FAILS'}: {claim.claim}: {claim.outcome}"), flush=True)
    met = holding(claims)
    if arguments.json:
        print(json.dumps({"holds": met, "claims": [claim.model_dump() for claim in claims]}, indent=1))
    elif not met and not any(this_claim.ran for this_claim in claims):
        print("Nothing of the folder was run. Get it again from where it was made.")
    return Exit.DONE if met else Exit.NOT_MET


COMMAND = Command(
    usage="RECORD",
    summary="run a verification record again here, and say which of its claims hold",
    add_arguments=add_arguments,
    run=run,
)

"""``verify RECORD``: run a verification record again on this machine, and say which of its claims hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from isobatch.pipeline.records.errors import Exit

USAGE = "RECORD"
SUMMARY = "run a repair's verification record again here, and say which claims hold"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A record."""
    parser.add_argument("record", metavar="RECORD", help="a record.json, or the folder that repair wrote")
    parser.add_argument(
        "--no-hash-check",
        action="store_true",
        help="run the artifact whatever its hash is, and let its outputs tell (TorchScript is code: trust its source)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print every claim; 1 where one fails."""
    from isobatch.pipeline.repair.verification_record import check, holding, read_record
    from isobatch.reports.escape import clean

    path = Path(arguments.record)
    record = read_record(path)
    folder = path if path.is_dir() else path.parent
    claims = []

    def say(text: str) -> None:
        print(clean(text), file=sys.stderr, flush=True)

    for claim in check(record, folder, not arguments.no_hash_check, say):
        claims.append(claim)
        if not arguments.json:
            print(clean(f"{'holds' if claim.holds else 'FAILS'}: {claim.claim}: {claim.found}"), flush=True)
    met = holding(claims)
    if arguments.json:
        print(json.dumps({"holds": met, "claims": [claim.model_dump() for claim in claims]}, indent=1))
    elif not met and not arguments.no_hash_check and not any("batch-invariant" in one.claim for one in claims):
        print("Nothing was run: --no-hash-check runs the files as they are.")
    return Exit.DONE if met else Exit.NOT_MET

"""``doctor``: what runs on this machine, what does not, why, and what to install."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.tools.doctor.findings import DoctorFinding
    from isobatch.reports.blocks import Block


_STATES = {"ok": "✓ ok", "limited": "! limited", "missing": "× missing"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Examine the machine and print the findings. Nothing is measured or written."""
    from isobatch.pipeline.records.errors import Exit
    from isobatch.pipeline.tools.doctor.examine import examine
    from isobatch.reports.screen.terminal import print_blocks

    findings = examine(lambda text: print(f"{text} ...", file=sys.stderr, flush=True))
    missing = [finding for finding in findings if finding.state == "missing"]
    if arguments.json:
        print(json.dumps({"missing": bool(missing), "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        print_blocks(_blocks(findings), sys.stdout)
    return Exit.PARTIAL if missing else Exit.DONE


def _blocks(findings: list[DoctorFinding]) -> list[Block]:
    from isobatch.reports.blocks import Bullets, Code, Column, Paragraph, Table, line

    columns = (Column("What", "name"), Column("State"), Column("Found"))
    page: list[Block] = []
    for topic in dict.fromkeys(f.topic for f in findings):
        rows = tuple((f.name, _STATES[f.state], f.text) for f in findings if f.topic == topic)
        page.append(Table(f"{topic.capitalize()}.", columns, rows))
    todo = tuple(dict.fromkeys(line(Code(f.name), f": {f.remedy}") for f in findings if f.remedy))
    missing = sum(f.state == "missing" for f in findings)
    limited = sum(f.state == "limited" for f in findings)
    text = f"{missing} missing, {limited} limited, {len(findings) - missing - limited} in order."
    page.append(Paragraph(line(text + (" What to do:" if todo else ""))))
    return [*page, Bullets(todo)] if todo else page


COMMAND = Command(
    usage="",
    summary="what runs here, what not, why, what to install; exit code 3 where something is missing",
    add_arguments=add_arguments,
    run=run,
)

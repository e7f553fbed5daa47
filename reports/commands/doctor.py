"""``doctor``: what runs on this machine, what does not, why, and what to install."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from isobatch.reports.commands import Command

if TYPE_CHECKING:
    from isobatch.pipeline.tools.doctor.findings import Finding
    from isobatch.reports.blocks import Block


_STATES = {"ok": "✓ ok", "limited": "! limited", "missing": "× missing"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Examine the machine and print the findings. Nothing is measured or written."""
    from isobatch.pipeline.records.errors import Exit
    from isobatch.pipeline.tools.doctor.examine import examine
    from isobatch.reports.screen.rich_blocks import to_renderable
    from isobatch.reports.screen.terminal import console_for

    findings = examine(lambda text: print(f"{text} ...", file=sys.stderr, flush=True))
    missing = [one for one in findings if one.state == "missing"]
    if arguments.json:
        print(json.dumps({"missing": bool(missing), "findings": [asdict(one) for one in findings]}, indent=1))
    else:
        console = console_for(sys.stdout)
        for block in _blocks(findings):
            console.print(to_renderable(block))
    return Exit.PARTIAL if missing else Exit.DONE


def _blocks(findings: list[Finding]) -> list[Block]:
    from isobatch.reports.blocks import Bullets, Code, Column, Paragraph, Table, line

    columns = (Column("What", "name"), Column("State"), Column("Found"))
    page: list[Block] = []
    for topic in dict.fromkeys(one.topic for one in findings):
        rows = tuple((one.name, _STATES[one.state], one.text) for one in findings if one.topic == topic)
        page.append(Table(f"{topic.capitalize()}.", columns, rows))
    todo = tuple(dict.fromkeys(line(Code(one.name), f": {one.remedy}") for one in findings if one.remedy))
    missing = sum(one.state == "missing" for one in findings)
    limited = sum(one.state == "limited" for one in findings)
    text = f"{missing} missing, {limited} limited, {len(findings) - missing - limited} in order."
    page.append(Paragraph(line(text + (" What to do:" if todo else ""))))
    return [*page, Bullets(todo)] if todo else page


COMMAND = Command(
    usage="",
    summary="what runs here, what not, why, what to install; exit code 3 where something is missing",
    add_arguments=add_arguments,
    run=run,
)

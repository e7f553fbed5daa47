"""``help [CODE]``: what a code of an error or warning means, why it happens, what to do; without one, all codes."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from isobatch import PROGRAM
from isobatch.pipeline.records.codes import CODES, explain_code
from isobatch.pipeline.records.errors import MEANING, Exit
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A code, or nothing."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="as it stands in brackets: error [CODE]: ...")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation, or the list with the exit codes."""
    facts: dict[str, Any]
    if arguments.code is None:
        codes = {code: asdict(meaning) for code, meaning in CODES.items()}
        facts = {"codes": codes, "exit_codes": {int(code): text for code, text in MEANING.items()}}
        lines = _listing()
    else:
        code = arguments.code.strip("[]")
        meaning = explain_code(code)
        facts = {"code": code, **asdict(meaning)}
        lines = [f"{meaning.kind} [{code}]", f"  {meaning.means}", f"  Why: {meaning.why}", f"  Do:  {meaning.todo}"]
    print(json.dumps(facts, indent=1) if arguments.json else "\n".join(lines))
    return Exit.DONE


def _listing() -> list[str]:
    lines = []
    width = max(map(len, CODES))
    for kind in ("error", "warning"):
        lines.append(f"{kind}s:")
        lines += [f"  {code:<{width}} {meaning.means}" for code, meaning in CODES.items() if meaning.kind == kind]
    lines += ["exit codes:", *(f"  {code:<{width}d} {text}" for code, text in MEANING.items())]
    return [*lines, f"{PROGRAM} help CODE says why it happens and what to do."]


COMMAND = Command(
    usage="[CODE]",
    summary="what an error's or warning's code means and what to do; without CODE, all codes",
    add_arguments=add_arguments,
    run=run,
)

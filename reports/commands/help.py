"""``help [CODE]``: what a code of an error or warning means, why it happens, what to do; without one, all codes."""

import argparse
import json
from dataclasses import asdict

from isobatch import PROGRAM
from isobatch.pipeline.records.codes import CODES, CodeMeaning, explain_code
from isobatch.pipeline.records.errors import MEANING, Exit
from isobatch.reports.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A code, or nothing."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="as it stands in brackets: error [CODE]: ...")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation, or the list with the exit codes."""
    if arguments.code is None:
        print(_all_as_json() if arguments.json else _listing())
        return Exit.DONE
    code = arguments.code.strip("[]")
    meaning = explain_code(code)
    print(json.dumps({"code": code, **asdict(meaning)}, indent=1) if arguments.json else _explanation(code, meaning))
    return Exit.DONE


def _explanation(code: str, meaning: CodeMeaning) -> str:
    return "\n".join(
        [f"{meaning.kind} [{code}]", f"  {meaning.means}", f"  Why: {meaning.why}", f"  Do:  {meaning.todo}"]
    )


def _listing() -> str:
    lines = []
    width = max(map(len, CODES))
    for kind in ("error", "warning"):
        lines.append(f"{kind}s:")
        lines += [f"  {code:<{width}} {meaning.means}" for code, meaning in CODES.items() if meaning.kind == kind]
    lines += ["exit codes:", *(f"  {code:<{width}d} {text}" for code, text in MEANING.items())]
    return "\n".join([*lines, f"{PROGRAM} help CODE says why it happens and what to do."])


def _all_as_json() -> str:
    codes = {code: asdict(meaning) for code, meaning in CODES.items()}
    return json.dumps({"codes": codes, "exit_codes": {int(code): text for code, text in MEANING.items()}}, indent=1)


COMMAND = Command(
    usage="[CODE]",
    summary="what an error's or warning's code means and what to do; without CODE, all codes",
    add_arguments=add_arguments,
    run=run,
)

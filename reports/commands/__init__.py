"""The commands of run.py, one file each, found by looking into this package: ``python run.py COMMAND ...``.

A command is a module that holds one ``COMMAND = Command(...)``:

* ``usage``: its arguments in a word or two, such as ``RUN``; ``summary``: one line; its name is the module's;
* ``add_arguments(parser)``: its flags (``--json`` and ``--debug`` are there for all);
* ``run(arguments) -> int``: the exit code of the contract. Errors a user can act on are raised as UsageError.

Importing one must cost nothing: what loads a numeric library is imported inside ``run``.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from isobatch import PROGRAM
from isobatch.models.spec.discover import discover
from isobatch.models.spec.nearest import did_you_mean
from isobatch.pipeline.config.flags import Parser
from isobatch.pipeline.records.errors import UsageError


@dataclass(frozen=True)
class Command:
    """One command: how it is called, what it does, and the functions that read and serve it."""

    usage: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    name: str = ""  # filled in where it is discovered

    def parser(self) -> argparse.ArgumentParser:
        """The parser of this command's own arguments."""
        parser = Parser(f"{PROGRAM} {self.name}", self.summary)
        self.add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="write the result to stdout as JSON")
        parser.add_argument("--debug", action="store_true", help="show the tracebacks of errors")
        return parser


@cache
def all_commands() -> dict[str, Command]:
    """Every command by name, in alphabetical order."""
    return {name: replace(command, name=name) for name, command in discover(__name__, Command).items()}


def find_command(name: str) -> Command:
    """The command of that name. Raises UsageError naming the nearest known one."""
    commands = all_commands()
    if name in commands:
        return commands[name]
    known = ", ".join(commands)
    raise UsageError("unknown-command", f"unknown command {name!r}: {did_you_mean(name, commands)} Known: {known}")


def described(commands: Mapping[str, Command]) -> str:
    """The commands for ``--help``, one line each."""
    rows = [f"  {f'{command.name} {command.usage}':<24} {command.summary}" for command in commands.values()]
    return "\n".join(["commands:", *rows, "", ""])

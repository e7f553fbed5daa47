"""``--help``: every flag says what it does, and one that takes a value its default."""

import argparse
from collections.abc import Iterator

import pytest

from isobatch.pipeline.config.flags import study_parser
from isobatch.reports.commands import all_commands

PARSERS = {"study": study_parser(), **{name: command.parser() for name, command in all_commands().items()}}


def flags(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from (action for action in parser._actions if action.option_strings)


@pytest.mark.parametrize("name", PARSERS)
def test_every_flag_says_what_it_does_and_its_default(name: str) -> None:
    parser = PARSERS[name]
    assert parser.format_help().count("off unless it is given") == 1
    formatter = parser._get_formatter()
    for action in flags(parser):
        assert action.help, action.option_strings
        told = formatter._expand_help(action)
        if action.nargs != 0 and not action.required:
            assert told.count("(default: ") == 1, (action.option_strings, told)

"""Every command keeps the contract of its package."""

import pytest

from isobatch.pipeline.records.errors import UsageError
from isobatch.reports.commands import Command, all_commands, described, find_command

commands = pytest.mark.parametrize("command", all_commands().values(), ids=lambda command: command.name)


@commands
def test_a_command_describes_itself_in_one_line(command: Command) -> None:
    assert command.summary and "\n" not in command.summary and not command.summary.endswith(".")
    assert command.summary in described(all_commands())
    assert command.summary in " ".join(command.parser().format_help().split())


@commands
def test_bad_flags_of_a_command_are_one_clear_line(command: Command) -> None:
    with pytest.raises(UsageError) as raised:
        command.parser().parse_args(["--no-such-flag"])
    assert "\n" not in str(raised.value)


def test_lists_of_variants_have_one_name() -> None:
    assert find_command("switches").parser().parse_args(["--variants", "fp32"]).variants == "fp32"
    with pytest.raises(UsageError, match=r"did you mean --variants\?"):
        find_command("switches").parser().parse_args(["--variant", "fp32"])


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'recommend'"):
        find_command("recomend")

"""Six of the planted networks through the command line; a full campaign takes all of them."""

from pathlib import Path

import pytest

from tests.in_process import Commands
from tests.planted.asked import by_command
from tests.planted.table import TABLE, Truth

SIX = ("one-ulp", "another-branch", "beside-bright", "tenth-call", "some-nan", "own-maximum")


@pytest.mark.parametrize("truth", [truth for truth in TABLE if truth.name in SIX], ids=lambda truth: truth.name)
def test_it_says_what_is_true(truth: Truth, commands: Commands, tmp_path: Path) -> None:
    assert by_command(truth, commands, tmp_path) == truth.said

"""The whole table of planted networks through the Python interface and the command line, which must say the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isobatch.models.pytorch.runner import torch_threads
from tests.in_process import Commands
from tests.planted.asked import by_command, by_interface
from tests.planted.table import TABLE


@pytest.mark.full
def test_both_say_what_is_true(
    commands: Commands, tmp_path: Path, tell: Callable[[str], None], part: Callable[[int], range]
) -> None:
    chosen = [TABLE[number] for number in part(len(TABLE))]
    with torch_threads(1):
        wrong = [
            (truth.name, said, truth.said)
            for truth in chosen
            for said in (by_interface(truth), by_command(truth, commands, tmp_path))
            if said != truth.said
        ]
    assert wrong == []
    tell(f"planted: {len(chosen)} of {len(TABLE)} networks, each through the Python interface and the command line")

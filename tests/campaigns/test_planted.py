"""The whole table of planted networks through the Python interface and the command line, which must say the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from isobatch.models.pytorch.runner import torch_threads
from tests.in_process import Commands
from tests.planted.asked import by_command, by_interface
from tests.planted.table import TABLE, Said, Truth

pytestmark = pytest.mark.full


@pytest.mark.parametrize("row", range(len(TABLE)), ids=[truth.name for truth in TABLE])
def test_both_say_what_is_true(
    row: int, commands: Commands, tmp_path: Path, tell: Callable[[str], None], part: Callable[[int], range]
) -> None:
    if row not in part(len(TABLE)):
        pytest.skip("of another part")
    truth = TABLE[row]
    with torch_threads(1):
        interface = by_interface(truth)
    command = by_command(truth, commands, tmp_path)
    tell(f"\n| {truth.name} | {_row(truth.said)} | {_same(interface, truth)} | {_same(command, truth)} |")
    assert interface == command == truth.said


def _row(said: Said) -> str:
    return " | ".join(part and f"`{part}`" for part in (said.verdict, said.layer, said.mechanism, said.repair))


def _same(said: Said, truth: Truth) -> str:
    return "the same" if said == truth.said else str(said)

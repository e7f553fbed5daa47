"""``python -m tests.planted``: the whole table through both, as docs/selftest.md has it. ``A/B``: part A of B."""

import sys
import tempfile
from pathlib import Path

from isobatch.models.pytorch.runner import torch_threads
from isobatch.pipeline.processes.pool import Workers
from tests.in_process import Commands
from tests.planted.asked import by_command, by_interface
from tests.planted.table import TABLE, Said
from tests.waiting import ENDS_S


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def row(said: Said) -> str:
    """The cells of what is said of a network."""
    return " | ".join(part and f"`{part}`" for part in (said.verdict, said.layer, said.mechanism, said.repair))


def main(which: str = "1/1") -> int:
    """Print a line a network; 1 where one of the two says anything else than what is true."""
    number, parts = map(int, which.split("/"))
    wrong = 0
    _say("| network | verdict | largest difference in | mechanism | repair | Python | command line |")
    _say("| --- | --- | --- | --- | --- | --- | --- |")
    with Workers(ENDS_S) as workers, tempfile.TemporaryDirectory() as folder, torch_threads(1):
        commands = Commands(workers)
        for truth in TABLE[number - 1 :: parts]:
            both = by_interface(truth), by_command(truth, commands, Path(folder))
            wrong += sum(said != truth.said for said in both)
            same = " | ".join("the same" if said == truth.said else row(said) for said in both)
            _say(f"| {truth.name} | {row(truth.said)} | {same} |")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))

"""``python -m tests.faulty.serve``: studies with the faulty variants, one after the other, in one warm process.

A line on stdin asks, as JSON: {"cwd", "argv", "env"}. The answer, a line on stdout: {"code", "stdout", "stderr",
"left"}, the last being how many workers outlived the study.
"""

import json
import sys
from pathlib import Path

import tests.faulty.table  # noqa: F401 (imported for what it does)
from isobatch.pipeline.processes import pool as execute
from isobatch.pipeline.processes.pool import Workers
from tests.in_process import Commands
from tests.waiting import ENDS_S


def left(workers: Workers) -> int:
    """How many children the launchers have."""
    pids = [launcher.process.pid for launcher in workers._launchers.values()]
    return sum(len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) for pid in pids)


def main() -> None:
    """Serve until stdin closes."""
    execute.PRELOAD = "tests.faulty.preload"
    with Workers(ENDS_S) as workers:
        commands = Commands(workers)
        for line in sys.stdin:
            asked = json.loads(line)
            ended = commands(Path(asked["cwd"]), *asked["argv"], **asked["env"])
            said = {"code": ended.code, "stdout": ended.stdout, "stderr": ended.stderr, "left": left(workers)}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""``python -m tests.faulty ...``: run.py with the faulty variants in its table, and a disk that may be full."""

import sys

import run
import tests.faulty.table  # noqa: F401 (imported for what it does)
from isobatch.pipeline.processes import pool as execute

if __name__ == "__main__":
    execute.PRELOAD = "tests.faulty.preload"
    sys.exit(run.main(sys.argv[1:]))

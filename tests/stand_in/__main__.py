"""``python -m tests.stand_in ...``: run.py where the CPU stands in for a GPU. No figure of it is a GPU's."""

import sys

import run
from isobatch.pipeline.processes import pool as execute

if __name__ == "__main__":
    execute.PRELOAD = "tests.stand_in.preload"
    sys.exit(run.main(sys.argv[1:]))

"""Isobatch's command line; its body is ``isobatch/program.py``."""

import sys

from isobatch.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m isobatch``: all that run.py does."""

import sys

from isobatch.program import main

sys.exit(main(sys.argv[1:]))

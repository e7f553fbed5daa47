"""Starts scripts, each in a process forked from this one: ``python -I start_scripts.py MODULE FOLDER``.

This process imports MODULE and nothing else, so that starting costs once what each script would pay; ``-I`` keeps the
project off the import path. The scripts' names come on stdin, a line each, once they are written. It prints one JSON
line for each script that ended: {"script", "code"}; what they print is dropped.
"""

import ctypes
import importlib
import json
import os
import runpy
import signal
import sys

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def start(script: str) -> int:
    """The exit code of a script run as ``python script`` would, in a child."""
    parent = os.getpid()
    if (pid := os.fork()) == 0:
        code = 70  # neither of the codes that a reproducer ends with
        try:
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)  # which is ended where a script hangs
            if os.getppid() != parent:  # it was, a moment ago
                os._exit(code)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            sys.argv = [script]
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 70
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> int:
    """Start all scripts that stdin names."""
    module, folder = sys.argv[1:]
    importlib.import_module(module)
    scripts = sys.stdin.read().splitlines()
    os.chdir(folder)
    for script in scripts:
        sys.stdout.write(json.dumps({"script": script, "code": start(script)}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

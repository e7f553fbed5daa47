"""The C++ compiler that torch's Inductor would call: found as it finds one, without loading torch."""

import os
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

REMEDY = "apt-get install g++ (or set CXX to a C++ compiler)"
_HEADERS_REMEDY = "install the headers of this Python (apt-get install python3-dev)"
_ANSWERS_S = 20.0


def compiler() -> str | None:
    """The path of the compiler: what ``CXX`` names, else ``g++``; None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def lacking() -> tuple[str, str] | None:
    """Why nothing can be compiled here, and what would change that; None where it can."""
    if compiler() is None:
        asked = os.environ.get("CXX")
        why = f"CXX names {asked}, which is not there" if asked else "there is no C++ compiler (g++)"
        return why, REMEDY
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python.h is missing, which compiled kernels include", _HEADERS_REMEDY
    return None


@cache
def version() -> str:
    """The first line that the compiler says of itself; empty where it does not answer."""
    path = compiler()
    if path is None:
        return ""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ANSWERS_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(said.stdout.splitlines()), "")

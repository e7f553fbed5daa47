"""How the packages of an extra are installed: those of a checkout's requirements files, or those of the package."""

from pathlib import Path

import isobatch

ROOT = Path(isobatch.__file__).resolve().parents[1]
"""Where a checkout has its requirements files; an installed package has none beside it."""


def to_add(extra: str, *exact: str) -> str:
    """The command that adds an extra, and keeps the versions of what is there. ``exact``: those that nothing but they
    will do for, such as ``torchao==0.18.0``.
    """
    if not (ROOT / "requirements.txt").is_file():
        return " ".join([f"pip install 'isobatch[{extra}]'", *exact])
    if not (ROOT / f"requirements-{extra}.txt").is_file():
        return " ".join(["pip install -c requirements.txt", *exact])
    return f"make run EXTRAS={extra}, or pip install -c requirements.txt -r requirements-{extra}.txt"

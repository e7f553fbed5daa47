"""Where runs and the cache live."""

import os
from pathlib import Path

OUT = Path("out")


def cache_root() -> Path:
    """Where artifacts, references and accuracies are kept: ``XDG_CACHE_HOME``/isobatch, else ``out/cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base).resolve() / "isobatch" if base else OUT.resolve() / "cache"

"""What a worker answered a run once, kept in its folder: a run that goes on neither asks nor reads again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from isobatch.models.spec.artifact_cache import file_sha256
from isobatch.pipeline.storage.files import read_json, write_json

T = TypeVar("T")


def keep_answer(file: Path, asked: Mapping[str, Any], answer: Any, files: Mapping[str, str]) -> None:
    """Write what was asked and answered, as JSON values. ``files``: SHA-256 by path of those that the answer is of."""
    write_json(file, {"asked": asked, "answer": answer, "files": files})


def kept_answer(file: Path, asked: Mapping[str, Any], read: Callable[[Any], T]) -> T | None:
    """What ``read`` makes of the answer; None where the same was not asked, or a file of it is another now."""
    try:
        stored = read_json(file)
        intact = all(file_sha256(Path(path)) == sha256 for path, sha256 in stored["files"].items())
        return read(stored["answer"]) if intact and stored["asked"] == asked else None
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return None

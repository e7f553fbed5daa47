"""What only an ONNX file is asked: ``--outcome``, and ``--batch-axis`` where its batch is not the first axis."""

from __future__ import annotations

import difflib

from isobatch.models.spec.outcome import KINDS
from isobatch.pipeline.config.numbers import whole
from isobatch.pipeline.records.errors import UsageError
from isobatch.pipeline.records.wording import listed

_FLAG = "--batch-axis"
_LAST = 7  # of the axes that an array may have here


def batch_axes(text: str | None, onnx: str | None) -> tuple[tuple[str, int], ...]:
    """Name and axis of each, in order. Raises UsageError for what is no such list, and without ``onnx``."""
    if text is None:
        return ()
    if onnx is None:
        raise UsageError(
            "usage",
            f"{_FLAG} {text!r} is of an ONNX file's arrays: a torch network takes and gives the batch first "
            "(turn it in its forward with movedim)",
        )
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, axis = part.strip().rpartition("=")
        if not equals or not name:
            raise UsageError("usage", f"{_FLAG} {text!r}: {part.strip()!r} is no NAME=K; write x=1, or x=1,y=1")
        found[name] = whole(f"{_FLAG} {name}=", axis, 0, _LAST)
    return tuple(found.items())


def outcome(text: str, onnx: str | None) -> str:
    """The kind of outcome asked for, or ``auto``. Raises UsageError."""
    known = ("auto", *KINDS)
    if text not in known:
        near = difflib.get_close_matches(text, known, n=1, cutoff=0.0)[0]
        raise UsageError("usage", f"--outcome {text!r}: did you mean {near!r}? There are {listed(known)}")
    if text != "auto" and onnx is None:
        raise UsageError("usage", f"--outcome {text!r} needs --onnx FILE: torchvision's networks are classifiers")
    return text

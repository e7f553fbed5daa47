"""One layer with its data, as a reproducer script needs it. Imports no runtime."""

import pprint
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from isobatch.models.spec.runner import Rows
from isobatch.models.spec.words import Json

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[dict[str, Any]], list[NDArray[Any]]]

_PARTS = Path(__file__).with_name("templates")
_MARK = "# -- from here on: part of every script --\n"
_HEADER = '''"""One layer of a network gives an image other bytes alone than in a batch, on the same input.

Run it with Python and the packages it imports. Exit code 1: the difference exists; 0: it is gone; 2: it cannot be
said here (other versions, another processor, missing data).
"""

import argparse
import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any, Callable

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    import numpy as np
    import MODULE
except ImportError as error:
    print(f"it could not be run here: {error}")
    sys.exit(2)
'''
_MODULES = {"torch": "torch", "ort": "onnxruntime as ort"}
_ALIASES = "\nArrays = dict[str, Any]\nRun = Callable[[Arrays], list[Any]]\n"
_LAST = '\n\nif __name__ == "__main__":\n    ended(lambda: examine(CASE, environment(), start))\n'
_WIDTH = 110


@dataclass(frozen=True)
class Shrink:
    """Axes that can be made shorter together."""

    what: str
    axes: tuple[tuple[str, int], ...]  # (name of the array, axis)
    least: int = 1  # entries


@dataclass(frozen=True)
class Case:
    """All that a script needs to run one layer."""

    template: Literal["torch", "ort"]
    facts: Mapping[str, Json]  # what the script's template reads, plain JSON values
    arrays: Arrays  # of the layer and its input rows
    rows: tuple[str, ...]  # the arrays whose first axis counts images
    # Given the arrays, it gives a function from such arrays, in which the rows may be fewer, to outputs [images, ...].
    prepare: Callable[[dict[str, Any]], Run]
    shrinks: tuple[Shrink, ...] = ()
    model: bytes | None = field(default=None, repr=False)  # an ONNX graph to lie beside the script, or None


def script(template: str, facts: Mapping[str, Json]) -> str:
    """The whole script: header, the case as a Python literal (so that no name in it can become code), and its parts."""
    names = ("common", f"{template}_part")
    parts = [(_PARTS / f"{name}.py").read_text(encoding="utf-8").partition(_MARK)[2] for name in names]
    case = pprint.pformat(dict(facts), width=_WIDTH, sort_dicts=False)
    return "".join(
        [_HEADER.replace("MODULE", _MODULES[template]), _ALIASES, f"\nCASE: dict[str, Any] = {case}\n", *parts, _LAST]
    )


def file_name(variant: str, layer: str) -> str:
    """A name for files, of letters, digits, dots and dashes: a layer of a user's graph may be called anything."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{variant}-{layer}").strip("._")[:80] or "layer"


@runtime_checkable
class Reproducible(Protocol):
    """A runner whose layers can be taken out into a script of their own."""

    def case(self, layer: str, inputs: Rows) -> Case:
        """This layer on these rows, with all a script needs. Raises NotImplementedError where that cannot be told."""


@runtime_checkable
class ReproducibleTies(Protocol):
    """A runner whose integer layers can be taken out as they are on rounding ties."""

    def provoked_case(self, layer: str, batch: int, seed: int) -> Case | None:
        """The layer of ``Provocable.provoke`` for ``batch`` images; None where it cannot be moved to ties."""

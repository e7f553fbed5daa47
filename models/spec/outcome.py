"""What a network answers: its output arrays side by side in one row an image, and which of them is the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isobatch.models.spec.plain import Plain

OutcomeKind = Literal["classes", "binary", "labels", "embedding", "raw"]
KINDS: tuple[OutcomeKind, ...] = ("classes", "binary", "labels", "embedding", "raw")


@dataclass(frozen=True)
class Leaf:
    """One output array: the columns ``start`` to ``stop`` of a row hold its values for one image.

    Arrays of several types share a row in the smallest type that holds all of their values.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Outcome(Plain):
    """What is read from a row, in its columns ``start`` to ``stop`` (None: to the end).

    ``classes``: the largest. ``binary``: one value above ``threshold``. ``labels``: the set of those above it.
    ``embedding``: the nearest other image of the set, by cosine. ``raw``: nothing but its bytes.
    """

    kind: OutcomeKind = "classes"
    start: int = 0
    stop: int | None = None
    threshold: float = 0.0
    leaves: tuple[Leaf, ...] = ()
    why: str = ""  # how the kind was chosen, for the user
    # The last operator, where margins and noise are those of what goes into it.
    through: Literal["", "Softmax", "Sigmoid"] = ""

    @property
    def word(self) -> str:
        """What may change of an image: ``top-1 class``."""
        return {
            "classes": "top-1 class",
            "binary": "decision",
            "labels": "set of labels",
            "embedding": "nearest neighbour",
            "raw": "outcome",
        }[self.kind]


CLASSES = Outcome()

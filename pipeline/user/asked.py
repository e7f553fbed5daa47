"""What a user asks to be made batch-invariant, over what, and within which time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from isobatch.pipeline.user.conditions import Condition
from isobatch.pipeline.user.progress import Progress

_NO_TIME = "the time was over (seconds={:g})"


@dataclass(frozen=True)
class Examples:
    """Example inputs in the shape of ``isobatch.models.spec.images.Images``, as far as a repair asks."""

    name: str
    rows: NDArray[Any]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A copy of the examples ``start`` to ``stop``."""
        return self.rows[start:stop].copy()


@dataclass(frozen=True)
class Asked:
    """What is asked for: the conditions (the repair is priced under the first), N of the scope, the objective, the
    rungs, and the time, which is over at ``deadline``.
    """

    conditions: tuple[Condition, ...]
    scope: tuple[int, ...]
    objective: str
    rungs: Sequence[str]
    seconds: float
    deadline: float
    say: Progress

    @property
    def rows(self) -> NDArray[Any]:
        """The examples as they were given."""
        return self.conditions[0].rows

    @property
    def over(self) -> str:
        """That time is over, in words."""
        return _NO_TIME.format(self.seconds)

    def until(self, share: float) -> float:
        """When (of ``time.monotonic``) this share of the time is over."""
        return self.deadline - (1 - share) * self.seconds

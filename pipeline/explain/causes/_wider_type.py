"""What the interventions on rounding share: the same layer in a wider type."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Widened
from isobatch.models.spec.runner import Rows
from isobatch.pipeline.evidence.rows import absolute_difference, largest_value, reals
from isobatch.pipeline.explain.causes import Subject
from isobatch.pipeline.records.wording import counted, number

Kind = Literal["float32", "float64"]
_GONE = 2.0**-20  # of the difference; float64 rounds 2**29 times finer than float32
_TOLERANCE = 0.05  # of the largest output, between the layer and the same in a wider type: is it the same operation?


@dataclass(frozen=True)
class Wide:
    """The layer in a wider type."""

    # The difference between N = 1 and N = k vanished at the layer's precision; None: it cannot be said, see ``text``.
    gone: bool | None
    text: str


def widened(subject: Subject, kind: Kind) -> Wide:
    """The same rows alone and together, computed in ``kind``.

    float64 rounds as well, so bits may still differ there; gone is a difference below 2**-20 of the layer's own.
    """
    return subject.known(kind, lambda: _widened(subject, kind))


def wider(subject: Subject, kind: Kind) -> Callable[[Rows], NDArray[Any]]:
    """The replay of the subject's layer in that type. Raises NotImplementedError where it has no form in it."""
    runner: Widened = subject.runner
    return lambda rows: reals(np.atleast_1d(runner.widened(subject.layer.name, rows, kind)[subject.place]))


def _widened(subject: Subject, kind: Kind) -> Wide:
    batch, replay = subject.batch, wider(subject, kind)
    try:
        together = replay(subject.rows(0, batch))
        single = subject.each_alone(replay)
    except NotImplementedError as error:
        return Wide(None, f"It has no form in {kind}: {error}.")
    before = _largest(absolute_difference(subject.alone, subject.together))
    if not before:
        return Wide(None, f"These rows show no difference that {kind} could remove.")
    if not _largest(absolute_difference(together, subject.together)) <= _TOLERANCE * largest_value(together):
        return Wide(None, f"In {kind} the layer gives other results altogether, so that it cannot be compared.")
    after = _largest(absolute_difference(single, together))
    text = (
        f"In {kind} the largest difference between N = 1 and N = {batch} is {number(after)}, against {number(before)}"
    )
    if after:
        text += f" before: {number(before / after)} times smaller" if after < before else " before"
    return Wide(after < math.inf and after <= _GONE * before, f"{text} ({counted(together.size, 'output element')}).")


def _largest(apart: NDArray[np.float64]) -> float:
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))

"""An image's logits as a function of what stands beside it, where a scale of the batch or a leak couples them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.batches import batch_of, packed, parts_of
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import WHOLE, Layer, Rows, Runner
from isobatch.pipeline.evidence.outcomes import Gallery, changed
from isobatch.pipeline.explain.causes import Subject
from isobatch.pipeline.explain.causes._influence import influence, most_differing
from isobatch.pipeline.records.study import BesideLogits, NeighbourEffect
from isobatch.pipeline.storage.files import write_bytes

COUPLING = frozenset({"dynamic-scale", "neighbour-leak"})
"""The mechanisms by which neighbours' values reach an image's row."""


@dataclass(frozen=True)
class _Whole:
    """The network as one layer."""

    runner: Runner
    names: tuple[str, ...]  # of its inputs

    def replay(self, layer: str, inputs: Rows) -> Rows:
        """The logits of these images."""
        return (self.runner.run(batch_of(dict(zip(self.names, inputs, strict=True)))),)


def neighbour_effect(
    runner: Runner,
    mechanisms: Iterable[str],
    images: NDArray[np.float32],
    batch_sizes: Sequence[int],
    folder: Path,
    variant: str,
    seed: int,
    outcome: Outcome = CLASSES,
) -> NeighbourEffect | None:
    """The record; None where no origin couples images, or these do not show it.

    About 20 runs at the smallest N at which logits differ. Writes the batch with the worst neighbours into ``folder``:
    an .npy file, or an .npz file with an array for each input.
    """
    if COUPLING.isdisjoint(mechanisms):
        return None
    for batch in sorted(n for n in batch_sizes if n <= len(images)):
        parts = parts_of(images[:batch])
        whole = _Whole(runner, tuple(parts))
        subject = Subject(whole, Layer(WHOLE, "network", ""), tuple(parts.values()), batch, 1, seed)
        if subject.differing.any():
            break
    else:
        return None
    victim = np.array([most_differing(subject)])

    def another(own: NDArray[Any], row: NDArray[Any]) -> bool:
        return bool(changed(own[None], row[None], outcome, Gallery(subject.alone, victim)).any())

    effect = influence(subject, another)
    content, suffix = packed(batch_of(dict(zip(whole.names, effect.worst.rows, strict=True))))
    example = Path("neighbours") / f"{variant}-worst{suffix}"
    write_bytes(folder / example, [content])
    others = {neighbour.what: neighbour for neighbour in effect.seen if neighbour.what != effect.worst.what}
    seen = [*others.values(), effect.worst]
    return NeighbourEffect(
        victim=effect.victim,
        batch_size=batch,
        tried=effect.tried,
        largest_logit=effect.largest,
        seen=[BesideLogits(what=n.what, change=n.change, top1_moved=n.top_moved) for n in seen],
        example=example.as_posix(),
    )

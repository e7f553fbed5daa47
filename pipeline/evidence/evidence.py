"""What a worker brings back: the output rows of every pass, kept as differences from the singles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.pipeline.records.study import NEIGHBOURS
from isobatch.pipeline.records.wording import together

IndexedRows = tuple[NDArray[np.int64], NDArray[Any]]
"""Indices of rows, int64 [rows] rising, and those rows [rows, values] in the network's own type."""

PassKind = Literal["singles", "batched", "position", "neighbours", "copies", "repeat"]


@dataclass(frozen=True)
class Pass:
    """One way through the images ``start`` to ``stop`` of a set, ``batch_size`` at a time.

    ``position``: every batch rotated by ``rotation`` places (rows are kept in the images' own order).
    ``neighbours``: the last image of every batch replaced by ``neighbour`` (its row is not kept).
    ``copies``: every batch filled with copies of its first image.
    ``repeat``: batches already run, once more in the same process.
    """

    kind: PassKind
    batch_size: int
    start: int
    stop: int  # ``start`` and a multiple of ``batch_size``
    rotation: int = 1
    neighbour: str = NEIGHBOURS[0]

    @property
    def id(self) -> str:
        """A name that is unique within a job."""
        name = f"{self.kind}-{self.batch_size}-{self.start}-{self.stop}"
        if self.kind == "position" and self.rotation != 1:
            return f"{name}-{self.rotation}"
        return f"{name}-{self.neighbour}" if self.kind == "neighbours" and self.neighbour != NEIGHBOURS[0] else name

    @property
    def images(self) -> tuple[int, ...]:
        """The images whose rows are evidence of this pass, in order; of copies one for each row."""
        every = range(self.start, self.stop)
        if self.kind == "copies":
            return tuple(i - (i - self.start) % self.batch_size for i in every)
        if self.kind != "neighbours":
            return tuple(every)
        return tuple(i for i in every if (i - self.start) % self.batch_size != self.batch_size - 1)


def kept_rows(singles: NDArray[Any], first: int, chosen: Pass, outputs: NDArray[Any]) -> IndexedRows:
    """What ``Evidence.rows`` keeps of a pass's ``outputs``; ``first``: the image whose row ``singles[0]`` is."""
    at = np.asarray(chosen.images) - first
    known = np.flatnonzero(at < len(singles))
    kept = at >= len(singles)
    kept[known[differing_rows(singles[at[known]], outputs[known])]] = True
    index = np.flatnonzero(kept)
    return index, outputs[index]


def bits(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows as unsigned integers of the same width: what is compared when bytes are compared."""
    return np.ascontiguousarray(rows).view(f"u{rows.dtype.itemsize}")


def differing_rows(reference: NDArray[Any], candidate: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of the rows whose bytes differ. Both arrays are [n, classes] of one type; ValueError otherwise."""
    if reference.shape != candidate.shape or reference.dtype != candidate.dtype:
        first, second = (f"{rows.dtype}{list(rows.shape)}" for rows in (reference, candidate))
        raise ValueError(f"shape-mismatch: rows of {first} against {second}")
    return np.flatnonzero((bits(reference) != bits(candidate)).any(axis=1))


@dataclass(frozen=True)
class Evidence:
    """The outputs of one job: a variant on one input set, or a part of it, under one condition, in one round."""

    variant: str
    inputs: str
    round: int
    passes: tuple[Pass, ...]
    # By a pass's id (indices into ``Pass.images``; those rows [indices, classes], in the network's own type): of the
    # singles all, of another pass those whose bytes differ from the singles, or whose image was not run alone. What is
    # stored is read anew each time: the rows of a whole study are never held at once.
    rows: Callable[[str], IndexedRows]
    call_s: Mapping[str, tuple[float, ...]]  # seconds of each call of a pass, of the wall clock or of the device's
    effective: Mapping[str, Any]
    clips: Mapping[str, tuple[int, int]] | None  # by quantized layer how many values are at a clip limit, of how many
    peak_memory_bytes: int
    readback: Mapping[str, str]  # what the libraries say of the ISA, threads and settings in effect
    machine: str = ""  # what decides bits where it ran: processor, caps, versions (``environment.machine``)
    whole: str = ""  # of evidence of one part of a set: the id of the job that was cut
    device_memory: Mapping[str, int] | None = None  # bytes by the device's own counters (``Clocked``)
    warm_up_s: tuple[float, ...] = ()  # seconds of each call that went ahead unrecorded
    outcome: Outcome = CLASSES  # what is read from a row

    @property
    def singles(self) -> NDArray[Any]:
        """The rows [n, classes] of the images that were run alone."""
        (alone,) = self.find("singles")
        return self.rows(alone.id)[1]

    @property
    def span(self) -> tuple[int, int]:
        """The images that were run: ``singles[0]`` is the row of the first of them."""
        (singles,) = self.find("singles")
        return singles.start, singles.stop

    @property
    def images(self) -> NDArray[np.int64]:
        """Which images of the set were run, rising, int64 [n]: those whose rows ``singles`` holds."""
        return np.arange(*self.span, dtype=np.int64)

    def alone(self, images: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """The singles rows [len(images), classes] of these images of the set, which must be among those run."""
        rows: NDArray[Any] = self.singles[np.asarray(images, dtype=np.int64) - self.span[0]]
        return rows

    def outputs(self, chosen: Pass) -> NDArray[Any]:
        """The rows [len(images), classes] of a pass, rebuilt exactly."""
        singles, first = self.singles, self.span[0]
        # an image that was not run alone has its row among those that are kept, and any other in its place until then
        whole: NDArray[Any] = singles[np.clip(np.asarray(chosen.images) - first, 0, len(singles) - 1)]
        index, values = self.rows(chosen.id)
        whole[index] = values
        return whole

    def find(self, kind: PassKind, batch_size: int | None = None) -> tuple[Pass, ...]:
        """The passes of that kind, and of that N if given, in the order they were run."""
        return tuple(p for p in self.passes if p.kind == kind and batch_size in (None, p.batch_size))

    def alike(self, kind: PassKind) -> list[tuple[Pass, ...]]:
        """The passes of that kind, those of one N, rotation and neighbour together, by ascending N."""
        groups = together(((p.batch_size, p.rotation, p.neighbour), p) for p in self.find(kind))
        return [tuple(group) for _, group in sorted(groups.items(), key=lambda item: item[0][0])]

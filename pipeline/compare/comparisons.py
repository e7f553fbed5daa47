"""From stored outputs to comparisons: batched against singles, round against round, variant against the reference."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.outcome import Outcome
from isobatch.pipeline.compare.leaves import measure_leaves
from isobatch.pipeline.compare.metrics import Values
from isobatch.pipeline.evidence.evidence import Evidence, Pass, PassKind
from isobatch.pipeline.evidence.outcomes import Gallery, changed
from isobatch.pipeline.evidence.rows import all_alike, blocks, row_distance, same_bits
from isobatch.pipeline.records.study import COPIES, Comparison, ComparisonKind, Condition

Rows = NDArray[Any]
ImageIndices = NDArray[np.int64]
ImageRows = tuple[ImageIndices, Rows]
"""Indices of images, rising, and the output row of each."""
PROBES: tuple[Literal["position", "neighbours", "copies"], ...] = ("position", "neighbours", "copies")


@dataclass(frozen=True)
class Pairs:
    """One row an image, in image order."""

    images: ImageIndices
    reference: Rows  # [len(images), classes]
    candidate: Rows  # likewise


def comparisons(
    first: Evidence, second: Evidence | None, reference: Evidence | None, condition: Condition
) -> list[Comparison]:
    """Every comparison of one variant on one input set under one condition.

    ``first`` and ``second``: its rounds 0 and 1 (None: no second round was run); ``reference``: the fp64 singles.
    Passes of the same N, a ragged last batch of N images among them, make one comparison over the union of their
    images. What was not run is not compared, and nothing stands in for it.
    """

    def record(kind: ComparisonKind, batch_size: int, pairs: Pairs, at: Condition = condition) -> None:
        if len(pairs.images):
            ran = pairs.images if kind != "repeat" else None  # a second process may run others alone
            compared.append(_comparison(first, at, kind, batch_size, pairs.reference, pairs.candidate, ran))

    compared: list[Comparison] = []
    for n in batch_sizes(first, "batched"):
        record("batch-vs-singles", n, against_singles(first, n))
    if second is not None:
        alone = _alone_as_in(second, first)
        compared.append(_comparison(first, condition, "repeat", 1, alone, second.singles))
        if not _mismatch(alone, second.singles):
            for n in batch_sizes(first, "batched"):
                record("repeat", n, _against_repeat(first, second, n))
    for kind in PROBES:
        for passes in first.alike(kind):
            pairs = _against_first_copy(first, passes) if kind == "copies" else _against_plain(first, passes)
            record(kind, passes[0].batch_size, pairs, moved(condition, passes[0]))
    if reference is not None:
        singles, start = first.singles, first.span[0] - reference.span[0]  # the reference may have seen more images
        exact = reference.singles[start : start + len(singles)]
        compared.append(_comparison(first, condition, "vs-reference", 1, exact, singles))
    return compared


def batch_sizes(evidence: Evidence, kind: PassKind) -> list[int]:
    """The N of the passes of that kind, ascending."""
    return sorted({chosen.batch_size for chosen in evidence.find(kind)})


def moved(condition: Condition, chosen: Pass) -> Condition:
    """The condition under which this pass ran."""
    if chosen.kind == "position":
        return condition.model_copy(update={"position": chosen.rotation})
    if chosen.kind == "copies":
        return condition.model_copy(update={"neighbours": COPIES})
    return condition.model_copy(update={"neighbours": chosen.neighbour} if chosen.kind == "neighbours" else {})


def batched(evidence: Evidence, n: int) -> Pairs:
    """The plain batched rows of that N beside themselves: not every image of a second process was run alone."""
    parts = []
    for chosen in evidence.find("batched", n):
        rows = evidence.outputs(chosen)
        parts.append((_images(chosen), rows, rows))
    return _one_row_an_image(parts, evidence.outcome)


def against_singles(evidence: Evidence, n: int) -> Pairs:
    """The plain batched rows of that N beside the same images' singles."""
    parts = [
        (_images(chosen), evidence.alone(chosen.images), evidence.outputs(chosen))
        for chosen in evidence.find("batched", n)
    ]
    return _one_row_an_image(parts, evidence.outcome)


def _alone_as_in(second: Evidence, first: Evidence) -> Rows:
    """The singles of the images that the second round ran alone, as the first round has them; else all it has."""
    here, there = first.span, second.span
    return first.alone(second.images) if here[0] <= there[0] and there[1] <= here[1] else first.singles


def _against_repeat(first: Evidence, second: Evidence, n: int) -> Pairs:
    again = [(first, second, chosen) for chosen in second.find("batched", n)]
    for evidence in (first, second):  # and once more in the same process
        again += [(evidence, evidence, chosen) for chosen in evidence.find("repeat", n)]
    return _one_row_an_image((part for repeat in again for part in _same_batches(*repeat)), first.outcome)


def _against_plain(evidence: Evidence, passes: Sequence[Pass]) -> Pairs:
    """The rows of passes rotated or beside another image, and the plain rows of the very same batches."""
    parts = (part for chosen in passes for part in _same_batches(evidence, evidence, chosen))
    return _one_row_an_image(parts, evidence.outcome)


def _against_first_copy(evidence: Evidence, passes: Sequence[Pass]) -> Pairs:
    """Every row of a batch of copies beside the first row of that batch."""
    parts = []
    for chosen in passes:
        rows = evidence.outputs(chosen)
        parts.append((_images(chosen), np.repeat(rows[:: chosen.batch_size], chosen.batch_size, axis=0), rows))
    return _one_row_an_image(parts, evidence.outcome)


def _same_batches(first: Evidence, second: Evidence, chosen: Pass) -> Iterator[tuple[ImageIndices, Rows, Rows]]:
    """The rows of a pass of ``second``, and those of the very same batches in the plain passes of ``first``."""
    images, rows = _images(chosen), second.outputs(chosen)
    for plain in first.find("batched", chosen.batch_size):
        if (plain.start - chosen.start) % chosen.batch_size:
            continue  # its batches hold other images together: two things would have changed at once
        shared = np.flatnonzero((images >= plain.start) & (images < plain.stop))
        yield images[shared], first.outputs(plain)[images[shared] - plain.start], rows[shared]


def _images(chosen: Pass) -> ImageIndices:
    return np.asarray(chosen.images, dtype=np.int64)


def _one_row_an_image(parts: Iterable[tuple[ImageIndices, Rows, Rows]], outcome: Outcome) -> Pairs:
    """The parts as one, in image order, so that n counts images.

    An image met twice at one N keeps the row farthest from its reference: first by a changed outcome, then by largest
    |difference| (NaN: infinitely far), then by unequal bytes.
    """
    columns = list(zip(*parts, strict=True))
    if not columns:
        return Pairs(np.empty(0, dtype=np.int64), np.empty((0, 1)), np.empty((0, 1)))
    images, reference, candidate = (column[0] if len(column) == 1 else np.concatenate(column) for column in columns)
    if (np.diff(images) > 0).all():
        return Pairs(images, reference, candidate)
    _, inverse, times = np.unique(images, return_inverse=True, return_counts=True)
    keys = np.zeros((3, len(images)))  # of rows without a rival: all zero, as nothing is to be decided
    rivals = np.flatnonzero(times[inverse] > 1)
    left, other = reference[rivals], candidate[rivals]
    keys[0, rivals] = ~same_bits(left, other).all(axis=1)
    keys[1, rivals] = np.nan_to_num(row_distance(left, other), nan=np.inf, posinf=np.inf)
    keys[2, rivals] = changed(left, other, outcome) if outcome.kind != "embedding" else False
    order = np.lexsort((*-keys, images))
    kept = order[np.flatnonzero(np.diff(images[order], prepend=-1))]
    return Pairs(images[kept], reference[kept], candidate[kept])


def _comparison(
    evidence: Evidence,
    condition: Condition,
    kind: ComparisonKind,
    batch_size: int,
    reference: Rows,
    candidate: Rows,
    images: ImageIndices | None = None,
) -> Comparison:
    """``images``: whose rows they are, where not all were compared: the nearest is sought among the singles of all."""
    mismatch = _mismatch(reference, candidate)
    values: Values = {"n_images_equal": 0, "bitwise_equal": False}
    if not mismatch:
        gallery = None if images is None else Gallery(evidence.singles, images - evidence.span[0])
        values = measure_leaves(reference, candidate, evidence.outcome, gallery)
    return Comparison(
        inputs=evidence.inputs,
        condition=condition,
        kind=kind,
        batch_size=batch_size,
        n_images=len(candidate),
        issues=mismatch or issues(reference, candidate),
        **values,  # keys of the discovered metrics; pydantic checks their values
    )


def _mismatch(reference: Rows, candidate: Rows) -> tuple[str, ...]:
    named = []
    if len(reference) != len(candidate):
        named.append("count-mismatch")
    if reference.shape[1:] != candidate.shape[1:]:
        named.append("shape-mismatch")
    return tuple(named)


def issues(reference: Rows, candidate: Rows) -> tuple[str, ...]:
    """What is wrong with the rows themselves, on either side: nan, inf, signed-zero, constant (see ``Comparison``)."""
    named: set[str] = set()
    for part in blocks(reference):
        left, other = reference[part].astype(np.float64), candidate[part].astype(np.float64)
        if np.isnan(left).any() or np.isnan(other).any():
            named.add("nan")
        if np.isinf(left).any() or np.isinf(other).any():
            named.add("inf")
        if ((left == 0) & (other == 0) & (np.signbit(left) != np.signbit(other))).any():
            named.add("signed-zero")
    if all_alike(reference) or all_alike(candidate):
        named.add("constant")
    return tuple(name for name in ("nan", "inf", "signed-zero", "constant") if name in named)

"""Which batch sizes give the same bytes, and the fingerprints of those bytes."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.pipeline.compare.comparisons import ImageRows, batch_sizes, batched
from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.evidence.rows import row_digests
from isobatch.pipeline.records.study import BatchClasses, Condition, Fingerprint


def batch_classes(evidence: Evidence, condition: Condition) -> BatchClasses:
    """The classes of N, N = 1 (the singles) included.

    Two sizes agree if they share images and each of those has the same bytes at both; sizes that share none, if each
    image of either has the bytes of its singles. Agreement need not carry over:
    with ragged last batches 1 and 2 may agree on two images, 2 and 4 on two others, while 1 and 4 differ elsewhere.
    So a class is a set in which *every two* agree. Sizes are placed in turn, those seen on more images first, then
    the smaller; each joins the first class it wholly agrees with, or opens one. Every N is in exactly one class.
    """
    digests = {n: _digests(evidence, n) for n in [1, *batch_sizes(evidence, "batched")]}
    return BatchClasses(inputs=evidence.inputs, condition=condition, classes=classes_of(digests))


def classes_of(digests: Mapping[int, NDArray[Any]]) -> list[list[int]]:
    """The classes by ``batch_classes``'s rule. ``digests``: by N one digest an image, empty where it was not seen."""
    classes: list[list[int]] = []
    for n in sorted(digests, key=lambda size: (-int(np.count_nonzero(digests[size])), size)):
        singles = digests.get(1)
        home = next((m for m in classes if all(_agree(digests[n], digests[k], singles) for k in m)), None)
        if home is None:
            classes.append([n])
        else:
            home.append(n)
    return sorted(sorted(members) for members in classes)


def finer_classes(tried: list[list[int]], known_classes: list[list[int]]) -> list[list[int]]:
    """``known_classes``, which hold more N, where they say the same of those that were tried; else ``tried``."""
    known = {n for attempt in tried for n in attempt}
    same = sorted(sorted(kept) for members in known_classes if (kept := known.intersection(members)))
    return known_classes if same == sorted(tried) else tried


def fingerprints(evidence: Evidence, condition: Condition) -> list[Fingerprint]:
    """One fingerprint for each N: SHA-256 of the bytes of the rows seen at that N, in image order."""
    records = []
    for n in [1, *batch_sizes(evidence, "batched")]:
        sha256 = digest_of(rows_seen(evidence, n)[1])
        records.append(Fingerprint(inputs=evidence.inputs, condition=condition, batch_size=n, sha256=sha256))
    return records


def digest_of(rows: NDArray[Any]) -> str:
    """The SHA-256 of the rows' bytes, in hex: what a fingerprint holds."""
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()


def rows_seen(evidence: Evidence, n: int) -> ImageRows:
    """The images seen at that N, int64 [images] rising, and their output rows [images, classes]."""
    if n == 1:
        return evidence.images, evidence.singles
    pairs = batched(evidence, n)
    return pairs.images, pairs.candidate


def _digests(evidence: Evidence, n: int) -> NDArray[Any]:
    """One digest an image, [images] of bytes; empty where the image was not seen at that N."""
    images, rows = rows_seen(evidence, n)
    own = row_digests([rows], len(rows))
    digests = np.zeros(evidence.span[1], own.dtype)
    digests[images] = own
    return digests


def _agree(mine: NDArray[Any], other: NDArray[Any], singles: NDArray[Any] | None) -> bool:
    shared = (mine != b"") & (other != b"")
    if shared.any() or singles is None:
        return bool(shared.any() and (mine[shared] == other[shared]).all())
    return all(bool((size != b"").any() and ((size == b"") | (size == singles)).all()) for size in (mine, other))

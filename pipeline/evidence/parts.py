"""Large sets in parts: where they are cut, and the evidence of the parts as that of the whole.

A part is what one worker runs, and what is lost where it is interrupted. Cuts lie only where a batch of every N ends,
so which images share a batch does not depend on them; where sizes have no common end in reach, a set is not cut.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from isobatch.pipeline.evidence.evidence import Evidence, IndexedRows, Pass

FIRST_IMAGES = 64
"""At least so many images are in the first part: the one that is timed, and so runs alone."""
PART_IMAGES = 256


def cut(n_images: int, batch_sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The ranges of images, in order, that a set is run in. The first holds every N at least twice."""
    tested = [n for n in batch_sizes if 1 < n <= n_images]
    step = math.lcm(*tested)
    first = _up_to(step, max(FIRST_IMAGES, 2 * max(tested, default=1)))
    later = _up_to(step, PART_IMAGES)
    bounds = [0, *range(first, n_images - later // 4, later), n_images]  # a small rest belongs to the part before
    return list(itertools.pairwise(bounds))


def _up_to(step: int, least: int) -> int:
    return -(-least // step) * step


def passes_within(passes: Sequence[Pass], start: int, stop: int) -> tuple[Pass, ...]:
    """The passes as far as they go through the images ``start`` to ``stop``."""
    clipped = (replace(planned, start=max(planned.start, start), stop=min(planned.stop, stop)) for planned in passes)
    return tuple(planned for planned in clipped if planned.start < planned.stop)


def joined(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of adjacent parts, in order, as that of the images of all. Rows are read when they are asked for."""
    if len(parts) == 1:
        return parts[0]
    pieces = _pieces(parts)
    by_name = {whole.id: piece for whole, piece in pieces.items()}

    def rows_of(name: str) -> IndexedRows:
        index, values, before = [], [], 0
        for evidence, planned in by_name[name]:
            rows = evidence.rows(planned.id)
            index.append(rows[0] + before)
            values.append(rows[1])
            before += len(planned.images)
        return np.concatenate(index), np.concatenate(values)

    return replace(
        parts[0],
        passes=tuple(pieces),
        rows=rows_of,
        call_s={p.id: tuple(s for e, planned in piece for s in e.call_s[planned.id]) for p, piece in pieces.items()},
        warm_up_s=tuple(s for part in parts for s in part.warm_up_s),
        clips=_clips(parts),
        peak_memory_bytes=max(part.peak_memory_bytes for part in parts),
    )


def _pieces(parts: Sequence[Evidence]) -> dict[Pass, list[tuple[Evidence, Pass]]]:
    """By pass through the whole: the passes through the parts that make it up."""
    pieces: list[list[tuple[Evidence, Pass]]] = []
    for evidence in parts:
        for planned in evidence.passes:
            home = next((piece for piece in pieces if _goes_on(piece[-1][1], planned)), None)
            if home is None:
                pieces.append([(evidence, planned)])
            else:
                home.append((evidence, planned))
    return {replace(piece[0][1], stop=piece[-1][1].stop): piece for piece in pieces}


def _goes_on(before: Pass, after: Pass) -> bool:
    return replace(before, start=before.stop, stop=after.stop) == after


def _clips(parts: Sequence[Evidence]) -> dict[str, tuple[int, int]] | None:
    counts = [part.clips for part in parts if part.clips is not None]
    if len(counts) < len(parts):
        return None
    return {
        layer: (sum(clips[layer][0] for clips in counts), sum(clips[layer][1] for clips in counts))
        for layer in counts[0]
    }

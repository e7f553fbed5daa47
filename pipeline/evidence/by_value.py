"""The default plan: as many batches as say something, instead of all images at every N (see ``plan_passes``)."""

import itertools
from collections.abc import Sequence

from isobatch.pipeline.evidence.evidence import Pass
from isobatch.pipeline.evidence.parts import FIRST_IMAGES, PART_IMAGES
from isobatch.pipeline.records.study import NEIGHBOURS

PROBE_BATCH = 4  # position and neighbours are probed at this N, or at the largest N tested below it
REPEATED_SINGLES = 4
_SMALL = 4  # up to this N two batches cost little


def first_round(
    n_images: int,
    batch_sizes: Sequence[int],
    *,
    timed: bool = False,
    rotations: Sequence[int] = (1,),
    neighbours: Sequence[str] = NEIGHBOURS[:1],
    sparing: bool = False,
) -> tuple[Pass, ...]:
    """The passes of the first process: every image alone, and every image in a batch of the largest N.

    Of the other N two batches of small ones and one of large ones (``timed``: two), of other images at each N; then one
    batch each rotated, beside another image, and of copies of one image at the largest N. A ragged last batch of m
    images is run as N = m; a last image alone goes into a batch of the smallest N with those before it. ``sparing``:
    for arithmetic that is tens of times slower, one batch of each N, no rotation and no copies.
    """
    tested = [n for n in sorted(set(batch_sizes)) if 1 < n <= n_images]
    passes = [Pass("singles", 1, 0, n_images)]
    if not tested:
        return tuple(passes)
    largest, smallest = tested[-1], tested[0]
    reach = min(n_images, max(FIRST_IMAGES, 2 * largest))  # all but the largest N lie in the part that is timed
    for at, n in enumerate(tested[:-1]):
        passes += _batches(n, reach, at, 2 if timed or (n <= _SMALL and not sparing) else 1)
    whole = n_images - n_images % largest
    passes.append(Pass("batched", largest, 0, whole))
    if (left := n_images - whole) > 1:
        passes.append(Pass("batched", left, whole, n_images))
    elif left and smallest <= PART_IMAGES // 4:  # the last part of a set holds more images than that
        passes.append(Pass("batched", smallest, n_images - smallest, n_images))
    probed = max((n for n in tested if n <= PROBE_BATCH), default=smallest)
    start = min(planned.start for planned in passes if (planned.kind, planned.batch_size) == ("batched", probed))
    stop = start + probed
    passes += [Pass("position", probed, start, stop, rotation=by) for by in rotations if by % probed and not sparing]
    passes += [Pass("neighbours", probed, start, stop, neighbour=neighbour) for neighbour in neighbours]
    copies = () if sparing else (Pass("copies", largest, 0, largest),)
    return (*dict.fromkeys(passes), *copies)  # a ragged batch may be one of the others


def second_round(n_images: int, batch_sizes: Sequence[int], *, sparing: bool = False) -> tuple[Pass, ...]:
    """The passes of the second process: some images alone (``sparing``: one), and the first batch of the largest N."""
    passes = [Pass("singles", 1, 0, 1 if sparing else min(n_images, REPEATED_SINGLES))]
    largest = max((n for n in batch_sizes if 1 < n <= n_images), default=0)
    return (*passes, Pass("batched", largest, 0, largest)) if largest else tuple(passes)


def _batches(n: int, reach: int, at: int, wanted: int) -> list[Pass]:
    """``wanted`` batches of N among the first ``reach`` images, other ones for each ``at``; neighbours as one pass."""
    there = reach // n
    chosen = {at % there, (at + there // 2) % there} if wanted > 1 else {at % there}
    starts = [n * batch for batch in sorted(chosen)]
    if all(after - before == n for before, after in itertools.pairwise(starts)):
        return [Pass("batched", n, starts[0], starts[-1] + n)]
    return [Pass("batched", n, start, start + n) for start in starts]

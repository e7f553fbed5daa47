"""Which layers depend on N, and in which shapes each may run: every distinct shape is measured once, at every N.

What a repair needs to know, and quicker than ``locate``, which replays every layer for what can be said about each.
Layers of one signature run the same kernels on the same shapes, so one speaks for its siblings.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.evidence.rows import same_bits
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.machine.memory import release_free
from isobatch.pipeline.repair.shapes import LayerShapes, Shapes, measure_layer, telling_rows
from isobatch.pipeline.repair.verify import OutOfTime

CAPTURED = 8  # images whose rows are captured; as many drawn rows stand between them
WORK = 0.5  # of a forward pass: what one row through each distinct shape costs, roughly


def survey_images(largest: int) -> int:
    """How many images' worth of work a survey up to this N is, roughly: for progress displays."""
    return round(WORK * (2 * CAPTURED + largest * (largest + 1) // 2))


def survey(
    runner: Watched, images: NDArray[np.float32], largest: int, seed: int, done: Callable[[int], None]
) -> tuple[Located, dict[str, Shapes]]:
    """Findings for every layer, and the shapes of every signature that depends on N, for N = 1 to ``largest``.

    ``images`` [n, c, h, w], n of at least 2. Of an N above their number the layers see rows several times: a layer
    replayed alone shows its kernels, and no verdict rests on it. ``done`` is told of the work, ``survey_images`` in
    all; where it raises OutOfTime, no further shape is measured, and layers of those count as not replayable.
    """
    few = images[:CAPTURED]
    signatures: set[str] = set()
    runner.watch(few[:1], lambda layer, inputs, outputs: signatures.add(layer.signature))
    each = survey_images(largest) / max(1, len(signatures))
    generator = np.random.Generator(np.random.PCG64(seed))
    findings: dict[str, LayerFinding] = {}
    layer_shapes: dict[str, LayerShapes | None] = {}  # by signature; None: not replayable
    owed, over = 0.0, False

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        nonlocal owed, over
        finding = findings[layer.name] = LayerFinding(layer)
        if over:
            layer_shapes.setdefault(layer.signature, None)
        if layer.signature not in layer_shapes:
            try:
                rows = telling_rows(inputs, generator)
                shapes_here = layer_shapes[layer.signature] = measure_layer(runner, layer.name, rows, largest, seed)
                finding.differing, finding.tried = dict(shapes_here.differing), shapes_here.tried
            except Exception:  # a layer that does not take such rows alone; the others go on
                layer_shapes[layer.signature] = None
            release_free()
            owed += each
            try:
                done(int(owed))
            except OutOfTime:
                over = True
            owed -= int(owed)
        elif (same_kind := layer_shapes[layer.signature]) is not None:
            finding.inherited = tuple(n for n, count in same_kind.differing.items() if count)
        finding.replayable = layer_shapes[layer.signature] is not None

    watched = runner.watch(few, examine)
    plain = runner.run(few)
    shapes = {
        signature: known.shapes for signature, known in layer_shapes.items() if known and any(known.differing.values())
    }
    return Located(findings, bool(same_bits(watched, plain).all()), []), shapes


def joined(
    located: Located, shapes: Mapping[str, Shapes], elsewhere: Located, seen: Mapping[str, Shapes]
) -> tuple[Located, dict[str, Shapes]]:
    """What holds here and elsewhere (another thread count, another image size), under the signatures of here."""
    findings, classes = dict(located.findings), dict(shapes)
    for name, other in elsewhere.findings.items():
        mine = findings.get(name)
        if mine is None or not other.batch_sizes:
            continue
        findings[name] = replace(mine, inherited=tuple(sorted({*mine.inherited, *other.batch_sizes})))
        if (shapes_there := seen.get(other.layer.signature)) is not None:
            known = classes.get(mine.layer.signature)
            classes[mine.layer.signature] = known.merged(shapes_there) if known else shapes_there
    return replace(located, findings=findings), classes


def survey_all(
    places: Iterable[tuple[AbstractContextManager[Any], NDArray[np.float32]]],
    largest: int,
    seed: int,
    done: Callable[[int], None],
    known: tuple[Located, dict[str, Shapes]] | None = None,
) -> tuple[Located, dict[str, Shapes]]:
    """What holds for all of these: networks that are opened in turn, the first of them of most layers, each with its
    images. ``known``: of a network before them.
    """
    for opened, images in places:
        with opened as runner:
            seen = survey(runner, images, largest, seed, done)
        known = joined(*known, *seen) if known else seen
    assert known is not None
    return known

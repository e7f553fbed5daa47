"""Which layers depend on N, and in which shapes each may run: every distinct shape is measured once, at every N.

What a repair needs to know, and quicker than ``locate``, which replays every layer for what can be said about each.
Layers of one signature run the same kernels on the same shapes, so one speaks for its siblings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import Layer, Rows
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.machine.memory import release_free
from isobatch.pipeline.records.wording import counted
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.shapes import Shapes, measure_layer, telling_rows
from isobatch.pipeline.repair.verify import OutOfTime, Scope

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
    firsts: dict[str, LayerFinding] = {}  # by signature the one that is replayed
    shapes: dict[str, Shapes] = {}
    owed, over = 0.0, False

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        nonlocal owed, over
        finding = findings[layer.name] = LayerFinding(layer)
        first = firsts.setdefault(layer.signature, finding)
        if first is not finding:
            finding.replayable, finding.inherited = first.replayable, tuple(first.batch_sizes)
            return
        finding.replayable = not over
        if over:
            return
        try:
            rows = telling_rows(inputs, generator)
            shapes[layer.signature] = measure_layer(runner, finding, rows, largest, seed)
        except Exception:  # a layer that does not take such rows alone; the others go on
            finding.differing.clear()
            finding.replayable = False
        release_free()
        owed += each
        try:
            done(int(owed))
        except OutOfTime:
            over = True
        owed -= int(owed)

    runner.watch(few, examine)
    return Located(findings), {signature: shapes[signature] for signature, first in firsts.items() if first.batch_sizes}


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


def at_every_count(
    bench: Bench, scope: Scope, sets: Iterable[tuple[str, NDArray[Any]]]
) -> Iterator[tuple[AbstractContextManager[Any], NDArray[Any]]]:
    """The network at every thread count of the scope, and the images of each set, which has a name to be told."""
    for name, images in sets:
        for count, opens in scope.opens(bench.threads, bench.runner).items():
            scope.say(f"looking at every layer{name}, {counted(count, 'thread')}")
            yield opens(), images


def asking_elsewhere(bench: Bench, scope: Scope, seed: int, alive: Callable[[], None]) -> Bench:
    """The bench, which can ask the scope's images of other sizes where there are any, at every thread count.

    ``alive`` is called now and then while they are asked, for those who wait.
    """
    others = of_other_sizes(scope.sets)

    def ask() -> Bench:
        known = bench.located, dict(bench.shapes)
        few = ((f" on {images.name}", images.read(0, min(len(images), CAPTURED))) for images in others)
        places = at_every_count(bench, scope, few)
        located, shapes = survey_all(places, len(bench.images), seed, lambda count: alive(), known)
        bench.runner.watch(bench.images[:1], lambda layer, inputs, outputs: None)  # of the size that is priced
        return replace(bench, located=located, shapes=shapes)

    return replace(bench, elsewhere=ask) if others else bench


def of_other_sizes(images: Sequence[Images]) -> list[Images]:
    """The first set of each image size that is not that of the first set; a single image shows nothing."""
    first = {images[0].shape[1:]: images[0]}
    for image_file in images[1:]:
        if len(image_file) > 1:
            first.setdefault(image_file.shape[1:], image_file)
    return [*first.values()][1:]

"""Interventions at the origins: one layer of each signature is examined, and speaks for its siblings."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Nested, Rows
from isobatch.pipeline.evidence.rows import row_count
from isobatch.pipeline.explain.causes import Cause, Explanation, Subject, explain_origin
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.explain.locate import random_rows

T = TypeVar("T")

_DRAWS = 4  # sets of drawn rows to try where the captured ones do not show the difference
_TELLING = ("captured", "drawn", "provoked", "sibling")


def explain_origins(
    runner: Watched,
    located: Located,
    images: NDArray[np.float32],
    threads: int,
    seed: int,
    causes: Sequence[Cause] | None = None,
) -> dict[str, Explanation]:
    """The explanation of every origin, by layer. ``images``: those that the origins were located on.

    Layers of one signature run the same kernels on the same shapes, so one of them is examined: where there is a
    choice, one whose difference the study's own images show.
    """
    leading = next(iter(representatives(located)), None)

    def explained(finding: LayerFinding, inputs: Rows) -> Explanation:
        subject = _subject(runner, finding, inputs, threads, seed, finding.layer.signature == leading)
        return explain_origin(subject, causes)

    return at_representatives(runner, located, images, explained, around=True)


def at_representatives(
    runner: Watched,
    located: Located,
    images: NDArray[np.float32],
    look: Callable[[LayerFinding, Rows], T],
    *,
    around: bool = False,
) -> dict[str, T]:
    """What ``look`` gives at one origin of each signature and its captured input rows, by all origins of the signature.

    ``around``: at modules that consist of layers, too.
    """
    chosen = representatives(located)
    seen: dict[str, T] = {}

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        finding = chosen.get(layer.signature)
        if finding is not None and finding.layer.name == layer.name:
            seen[layer.signature] = look(finding, inputs)

    if chosen:
        runner.watch(images, examine)
        if around and isinstance(runner, Nested) and chosen.keys() - seen.keys():
            runner.watch_around(images, examine)
    layers = [finding.layer for finding in located.findings.values() if finding.batch_sizes]
    return {layer.name: seen[layer.signature] for layer in layers if layer.signature in seen}


def representatives(located: Located) -> dict[str, LayerFinding]:
    """By signature the origin that shows most: seen on captured rows before drawn ones before provoked ties."""
    chosen: dict[str, LayerFinding] = {}
    origins = [finding for finding in located.findings.values() if finding.batch_sizes]

    def order(shown: LayerFinding) -> tuple[int, float]:
        return _TELLING.index(shown.found_by or "sibling"), -float(np.nan_to_num(shown.max_abs, nan=np.inf))

    for finding in sorted(origins, key=order):
        chosen.setdefault(finding.layer.signature, finding)
    return chosen


def _subject(runner: Watched, finding: LayerFinding, inputs: Rows, threads: int, seed: int, leading: bool) -> Subject:
    """The captured rows at the smallest N at which they differ; drawn ones where only these show the difference.

    That N may be larger than the smallest of the finding, which drawn rows may have shown.
    """
    count = row_count(inputs)
    sizes = [n for n in finding.batch_sizes if n <= count] or [count]
    how = finding.found_by or "sibling"
    first = Subject(runner, finding.layer, inputs, sizes[0], threads, seed, how, leading)
    if how not in ("captured", "drawn"):
        return first
    generator = np.random.Generator(np.random.PCG64(seed))
    given = [(inputs, how)] if how == "captured" else []
    for rows, kind in [*given, *((random_rows(inputs, generator), "drawn") for _ in range(_DRAWS))]:
        for batch in sizes:
            subject = Subject(runner, finding.layer, rows, batch, threads, seed, kind, leading)
            if subject.differing.any():
                return subject
    return first

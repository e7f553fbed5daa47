"""Interventions at the origins: one layer of each signature is examined, and speaks for its siblings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.runner import Layer, Nested, Rows
from isobatch.pipeline.evidence.rows import row_count
from isobatch.pipeline.explain.causes import Cause, Explanation, Subject, explain_origin
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.explain.locate import random_rows

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
    origins = [finding for finding in located.findings.values() if finding.batch_sizes]
    examined = representatives(origins)
    by_signature: dict[str, Explanation] = {}

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        finding = examined.get(layer.signature)
        if finding is not None and finding.layer.name == layer.name:
            leading = finding is next(iter(examined.values()))
            subject = _subject(runner, finding, inputs, threads, seed, leading)
            by_signature[layer.signature] = explain_origin(subject, causes)

    if origins:
        runner.watch(images, examine)
        if isinstance(runner, Nested) and examined.keys() - by_signature.keys():
            runner.watch_around(images, examine)
    layers = [origin.layer for origin in origins if origin.layer.signature in by_signature]
    return {layer.name: by_signature[layer.signature] for layer in layers}


def representatives(origins: Sequence[LayerFinding]) -> dict[str, LayerFinding]:
    """By signature the origin that shows most: seen on captured rows before drawn ones before provoked ties."""
    chosen: dict[str, LayerFinding] = {}

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

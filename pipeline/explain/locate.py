"""Where divergence starts: every layer replayed alone, its rows by themselves against the same rows in the batch."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.runner import Layer, Nested, Rows
from isobatch.pipeline.compare.metrics import ulp
from isobatch.pipeline.evidence.rows import (
    first_row_distance,
    joined_digests,
    largest_value,
    reals,
    row_count,
    row_digests,
    row_distance,
    rows_at,
    same_bits,
    same_row,
)
from isobatch.pipeline.explain.findings import LayerFinding, Located, Watched
from isobatch.pipeline.explain.outside_layers import outside
from isobatch.pipeline.explain.search_bounds import DEFAULT, Search

_RELATIVE_SPREAD = 8  # drawn inputs are the captured ones, each element scaled by 2**-8 to 2**8


def locate(
    runner: Watched,
    images: NDArray[np.float32],
    batch_sizes: Sequence[int],
    seed: int,
    search: Search = DEFAULT,
    alive: Callable[[], None] = lambda: None,
    around: bool = True,
) -> Located:
    """Replay each layer of the deployed run over ``images`` ([n, c, h, w], n the largest N): origins and carriers.

    For each layer the captured rows alone are compared with the captured batch's output, with batches of every other
    N, and both again on drawn inputs of wide dynamic range. Layers of one signature run the same kernels on the same
    shapes: once one of them is innocent, of a sibling the first and the last row are compared with those in the batch,
    and all only where these differ. Siblings of an origin are origins too: theirs happened not to show. Integer layers
    are also provoked on rounding ties. ``search`` bounds the drawn rows and the ties; ``alive`` is called now and then,
    for those who wait.
    What reads across images and reaches no output is no origin. ``around``: see ``look_around``.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    findings: dict[str, LayerFinding] = {}
    alone: dict[str, Rows] = {}
    growth: list[tuple[str, float, float, int | None]] = []
    guilty: set[str] = set()  # signatures: a sibling of an origin is one without further trials
    drawn_for: set[str] = set()  # signatures: drawn rows ask what kernels do, and siblings run the same ones
    innocent: set[str] = set()  # signatures: of one layer all was tried, and nothing depended on N

    def remember(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        alone[layer.name] = outputs

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        finding = findings.setdefault(layer.name, LayerFinding(layer))
        if grown := first_row_distance(alone.pop(layer.name, ()), outputs):
            growth.append((layer.name, *grown))
        try:
            if layer.signature in innocent and _alike_at_both_ends(runner, finding, inputs, outputs):
                return
            compare_rows(runner, finding, inputs, outputs, batch_sizes, "captured")
            for draw in range(search.draws if search.every_layer or layer.signature not in drawn_for else 0):
                drawn_for.add(layer.signature)
                if draw and (finding.tried >= search.elements or layer.signature in guilty):
                    break
                compare_rows(runner, finding, random_rows(inputs, generator), None, batch_sizes, "drawn")
                guilty.update([layer.signature] if finding.batch_sizes else [])
                alive()
            if not search.every_layer and not finding.batch_sizes:
                innocent.add(layer.signature)
        except Exception:  # a layer that does not take such rows alone; the others go on
            finding.replayable = bool(finding.batch_sizes)

    runner.watch(images[:1], remember)
    watched = runner.watch(images, examine)
    plain = runner.run(images)
    for tie in range(search.ties):
        _provoke(runner, findings, sorted(batch_sizes)[-1 - tie % len(batch_sizes)], seed + tie)
        alive()
    _accuse_siblings(findings)
    for name, finding in findings.items():
        if finding.batch_sizes and isinstance(runner, Nested) and not runner.reaches(name, images):
            innocent_of = dict.fromkeys(finding.differing, 0)
            findings[name] = LayerFinding(finding.layer, innocent_of, finding.tried, replayable=finding.replayable)
    located = Located(findings, bool(same_bits(watched, plain).all()), growth)
    if around:
        look_around(runner, located, images, batch_sizes)
    return located


def look_around(runner: Watched, located: Located, images: NDArray[np.float32], batch_sizes: Sequence[int]) -> bool:
    """Where the layers do not account for what the outputs show, add the modules around them that do; whether any did.

    Costs a dozen runs of the network: see ``isobatch.pipeline.explain.outside_layers``. A repair of exactly the origins
    that holds beside other neighbours too says as much.
    """
    modules = outside(runner, located, images, batch_sizes)
    for module in modules:
        finding = located.findings[module.layer.name] = LayerFinding(module.layer)
        compare_rows(runner, finding, module.inputs, None, batch_sizes, "captured")
        if not finding.batch_sizes:  # it shows beside made neighbours only
            finding.differing[len(images)], finding.found_by = module.moved, "drawn"
    return bool(modules)


def _alike_at_both_ends(runner: Watched, finding: LayerFinding, inputs: Rows, outputs: Rows) -> bool:
    """Whether the first and the last row, each alone, have the bytes that they have in the captured batch."""
    count = row_count(inputs)
    for at in sorted({0, count - 1}):
        alone = runner.replay(finding.layer.name, rows_at(inputs, slice(at, at + 1), count))
        if not same_row(alone, outputs, at, count):
            return False
        finding.tried += sum(part.size for part in alone)
    finding.differing.setdefault(count, 0)
    return True


def compare_rows(
    runner: Watched,
    finding: LayerFinding,
    inputs: Rows,
    outputs: Rows | None,
    batch_sizes: Sequence[int],
    how: str,
    distinct: int | None = None,
) -> dict[int, float]:
    """Compare the rows of ``inputs`` alone with the same rows in batches of each N; ``outputs``: of all, if known.

    ``distinct``: after so many rows they come again, and are not replayed alone again. Returns the seconds of a call by
    N, of single rows those of the quickest.
    """
    count, seconds = row_count(inputs), dict[int, float]()
    once = min(distinct or count, count)

    def replayed(start: int, stop: int) -> Rows:
        rows = rows_at(inputs, slice(start, stop), count)
        begin = time.perf_counter()
        made = runner.replay(finding.layer.name, rows)
        seconds[stop - start] = min(time.perf_counter() - begin, seconds.get(stop - start, math.inf))
        return made

    alone = zip(*(replayed(i, i + 1) for i in range(once)), strict=True)
    singles = [np.concatenate([np.atleast_1d(row) for row in rows]) for rows in alone]
    apart: dict[int, NDArray[Any] | None] = {1: None}
    for n in sorted(n for n in {*batch_sizes, count} if n <= count):
        batched = outputs if n == count and outputs is not None else replayed(0, n)
        whole = [np.atleast_1d(part) if part.ndim else np.repeat(part, n) for part in batched]
        pairs = (pair for parts in zip(singles, whole, strict=True) for pair in _in_turns(*parts, once, n))
        differing = sum(_count(finding, n, single, other, how) for single, other in pairs)
        apart[n] = row_digests(whole, n) if differing else None
    if any(made is not None for made in apart.values()):  # else this trial tells no two N apart
        own = row_digests(singles, once)[np.arange(count) % once]
        for n, made in apart.items():
            rows = made if made is not None else own[:n] if n > 1 else own
            finding.digests[n] = joined_digests(finding.digests.get(n), rows, count)
    return seconds


def _in_turns(
    singles: NDArray[Any], batched: NDArray[Any], count: int, n: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The outputs of ``count`` rows alone beside those of the same rows in a batch of n, where they come in turns."""
    each = len(singles) // count
    for start in range(0, n, count):
        last = start + count >= n
        yield singles[: each * min(count, n - start)], batched[each * start : None if last else each * (start + count)]


def _count(finding: LayerFinding, n: int, singles: NDArray[Any], batched: NDArray[Any], how: str) -> int:
    singles, batched = reals(singles), reals(batched)
    alike = (singles.shape, singles.dtype) == (batched.shape, batched.dtype)  # else another branch gave another thing
    differing = int((~same_bits(singles, batched)).sum())
    finding.tried += batched.size
    finding.differing[n] = finding.differing.get(n, 0) + differing
    if differing or not alike:
        finding.found_by = finding.found_by or how
    if not alike:
        finding.max_abs = math.inf
    elif differing and how == "captured":  # sizes on drawn data say nothing about the network's own
        left, other = singles.reshape(len(singles), -1), batched.reshape(len(batched), -1)
        finding.largest = max(finding.largest, largest_value(left))
        finding.max_abs = float(np.maximum(finding.max_abs, row_distance(left, other).max()))  # a NaN stays one
        finding.max_ulp = float(np.maximum(finding.max_ulp, ulp.measure(left, other)["max_ulp"]))
    return differing


def random_rows(inputs: Rows, generator: np.random.Generator) -> Rows:
    """Other rows of the same shapes and types: floats of wide dynamic range, codes of 8 bits over all their values.

    Wider integers may be numbers of rows in a table: those captured, each column in another order.
    """
    parts = []
    for part in inputs:
        if part.ndim == 0 or part.size <= 1:
            parts.append(part)
        elif part.dtype.kind in "iub" and part.dtype not in (np.int8, np.uint8):
            parts.append(generator.permuted(part, axis=0))
        elif np.issubdtype(part.dtype, np.integer):
            limits = np.iinfo(part.dtype)
            parts.append(generator.integers(limits.min, limits.max, part.shape, part.dtype, endpoint=True))
        else:
            factors = generator.random(part.shape, np.float32)  # in place: activations are large
            factors *= 2 * _RELATIVE_SPREAD
            factors -= _RELATIVE_SPREAD
            spread = part * np.exp2(factors, out=factors)
            if part.dtype.itemsize < 4:  # no number of few bits turns infinite: that would tell of other things
                limit = float(ml_dtypes.finfo(part.dtype).max)
                np.clip(spread, -limit, limit, out=spread, where=np.isfinite(spread))
            parts.append(spread.astype(part.dtype, copy=False))
    return tuple(parts)


def _provoke(runner: Watched, findings: dict[str, LayerFinding], batch: int, seed: int) -> None:
    if not isinstance(runner, Provocable):
        return
    for name, finding in findings.items():
        if finding.replayable and not finding.batch_sizes:
            differing, tried = runner.provoke(name, batch, seed)
            finding.tried += tried
            if differing:
                finding.differing[batch] = finding.differing.get(batch, 0) + differing
                finding.found_by = "provoked"


def _accuse_siblings(findings: dict[str, LayerFinding]) -> None:
    guilty = {f.layer.signature: f for f in findings.values() if f.batch_sizes}
    for finding in findings.values():
        if not finding.batch_sizes and (sibling := guilty.get(finding.layer.signature)):
            finding.found_by = "sibling"
            finding.inherited, finding.digests = tuple(sibling.batch_sizes), sibling.digests

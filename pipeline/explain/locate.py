"""Where divergence starts: every layer replayed alone, its rows by themselves against the same rows in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.interventions import Provocable
from isobatch.models.spec.runner import Canonical, Inspectable, Layer, Rows, Runner
from isobatch.pipeline.compare.metrics import ulp
from isobatch.pipeline.evidence.evidence import bits
from isobatch.pipeline.evidence.rows import row_distance
from isobatch.pipeline.explain.search_bounds import DEFAULT, Search

_RELATIVE_SPREAD = 8  # drawn inputs are the captured ones, each element scaled by 2**-8 to 2**8


@runtime_checkable
class Watched(Runner, Inspectable, Protocol):
    """A runner that can be looked into."""


@dataclass
class LayerFinding:
    """What replaying one layer showed. ``differing``: output elements whose bytes depend on N, by batch size."""

    layer: Layer
    differing: dict[int, int] = field(default_factory=dict)
    tried: int = 0
    max_abs: float = 0.0
    max_ulp: float = 0.0
    found_by: str | None = None
    replayable: bool = True
    inherited: tuple[int, ...] = ()  # batch sizes at which only a sibling differed

    @property
    def batch_sizes(self) -> list[int]:
        """The N at which some row differed from N = 1, here or in a sibling."""
        return sorted({*self.inherited, *(n for n, count in self.differing.items() if count)})

    def rule(self) -> Canonical:
        """The shape that is sure to give N = 1's bytes and costs a single image nothing.

        Up to the largest N below which every N was tried and none differed, calls go through; more rows are cut into
        the largest power of two below that.
        """
        up_to = 1
        while up_to + 1 in self.differing and up_to + 1 not in self.batch_sizes:
            up_to += 1
        return Canonical(size=1 << (up_to.bit_length() - 1), up_to=up_to)


@dataclass
class Located:
    """All layers in execution order, and whether looking inside changed the output."""

    findings: dict[str, LayerFinding]
    instrumented_bitwise_equal: bool
    growth: list[tuple[str, float, float, int | None]]  # of the first image: layer, max_abs, relative L2, steps


def locate(
    runner: Watched,
    images: NDArray[np.float32],
    batch_sizes: Sequence[int],
    seed: int,
    search: Search = DEFAULT,
    alive: Callable[[], None] = lambda: None,
) -> Located:
    """Replay each layer of the deployed run over ``images`` ([n, c, h, w], n the largest N): origins and carriers.

    For each layer the captured rows alone are compared with the captured batch's output, with batches of every other
    N, and both again on drawn inputs of wide dynamic range. Siblings of an origin (same kernels, same shapes) are
    origins too: theirs happened not to show. Integer layers are also provoked on rounding ties. ``search`` bounds the
    drawn rows and the ties; ``alive`` is called now and then, for those who wait.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    findings: dict[str, LayerFinding] = {}
    alone: dict[str, Rows] = {}
    growth: list[tuple[str, float, float, int | None]] = []
    guilty: set[str] = set()  # signatures: a sibling of an origin is one without further trials
    drawn_for: set[str] = set()  # signatures: drawn rows ask what kernels do, and siblings run the same ones

    def remember(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        alone[layer.name] = outputs

    def examine(layer: Layer, inputs: Rows, outputs: Rows) -> None:
        finding = findings.setdefault(layer.name, LayerFinding(layer))
        if layer.name in alone:
            growth.append((layer.name, *_distance(alone.pop(layer.name), outputs)))
        try:
            _replay(runner, finding, inputs, outputs, batch_sizes, "captured")
            for draw in range(search.draws if search.every_layer or layer.signature not in drawn_for else 0):
                drawn_for.add(layer.signature)
                if draw and (finding.tried >= search.elements or layer.signature in guilty):
                    break
                _replay(runner, finding, drawn(inputs, generator), None, batch_sizes, "drawn")
                guilty.update([layer.signature] if finding.batch_sizes else [])
                alive()
        except NotImplementedError:
            finding.replayable = False

    runner.watch(images[:1], remember)
    watched = runner.watch(images, examine)
    plain = runner.run(images)
    for tie in range(search.ties):
        _provoke(runner, findings, sorted(batch_sizes)[-1 - tie % len(batch_sizes)], seed + tie)
        alive()
    _accuse_siblings(findings)
    return Located(findings, bool((bits(watched) == bits(plain)).all()), growth)


def _replay(
    runner: Watched,
    finding: LayerFinding,
    inputs: Rows,
    outputs: Rows | None,
    batch_sizes: Sequence[int],
    how: str,
) -> None:
    """Compare the rows of ``inputs`` alone with the same rows in batches of each N; ``outputs``: of all, if known."""
    count = max(len(part) for part in inputs if part.ndim)
    name = finding.layer.name
    singles = [
        np.concatenate([np.atleast_1d(row) for row in rows])
        for rows in zip(*(runner.replay(name, _rows(inputs, i, i + 1, count)) for i in range(count)), strict=True)
    ]
    for n in sorted({*batch_sizes, count}):
        if n > count:
            continue
        batched = outputs if n == count and outputs is not None else runner.replay(name, _rows(inputs, 0, n, count))
        for position, together in enumerate(batched):
            one = singles[position]
            other = np.atleast_1d(together) if together.ndim else np.repeat(together, n)
            _count(finding, n, one[: len(one) // count * n], other, how)


def _rows(inputs: Rows, start: int, stop: int, count: int) -> Rows:
    """The rows of each tensor that has a batch axis; a value shared by the whole batch is passed as it is."""
    return tuple(part[start:stop] if part.ndim and len(part) == count else part for part in inputs)


def _count(finding: LayerFinding, n: int, singles: NDArray[Any], batched: NDArray[Any], how: str) -> None:
    differing = int((bits(singles) != bits(batched)).sum())
    finding.tried += singles.size
    finding.differing[n] = finding.differing.get(n, 0) + differing
    if differing:
        finding.found_by = finding.found_by or how
        if how == "captured":  # sizes on drawn data say nothing about the network's own
            one, other = singles.reshape(len(singles), -1), batched.reshape(len(batched), -1)
            finding.max_abs = max(finding.max_abs, float(row_distance(one, other).max()))
            finding.max_ulp = max(finding.max_ulp, float(ulp.measure(one, other)["max_ulp"]))  # type: ignore[arg-type]


def drawn(inputs: Rows, generator: np.random.Generator) -> Rows:
    """Other rows of the same shapes and types: floats of wide dynamic range, integers over all their values."""
    found = []
    for part in inputs:
        if part.ndim == 0 or part.size <= 1:
            found.append(part)
        elif np.issubdtype(part.dtype, np.integer):
            limits = np.iinfo(part.dtype)
            found.append(generator.integers(limits.min, limits.max, part.shape, part.dtype, endpoint=True))
        else:
            factors = np.exp2(generator.uniform(-_RELATIVE_SPREAD, _RELATIVE_SPREAD, part.shape))
            found.append((part.astype(np.float64) * factors).astype(part.dtype))
    return tuple(found)


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
            finding.inherited = tuple(sibling.batch_sizes)


def _distance(alone: Rows, together: Rows) -> tuple[float, float, int | None]:
    """(largest |difference|, relative L2, of integers how many differ) of the first row of the first output."""
    first, second = np.atleast_1d(alone[0]), np.atleast_1d(together[0])
    one, other = first.astype(np.float64), second.astype(np.float64)[: len(first)]
    difference = np.abs(other - one)
    norm = float(np.sqrt(np.square(one).sum()))
    share = float(np.sqrt(np.square(difference).sum())) / norm if norm else 0.0
    steps = int((difference > 0).sum()) if np.issubdtype(first.dtype, np.integer) else None
    return float(difference.max(initial=0.0)), share, steps

"""In which layers a difference starts, and why in the one where it is largest: what the functions and ``check`` say."""

from dataclasses import dataclass, replace
from typing import Any, Literal, final

from numpy.typing import NDArray

from isobatch.pipeline.explain.findings import LayerFinding, Watched
from isobatch.pipeline.explain.locate import locate
from isobatch.pipeline.explain.origins import explain_origins
from isobatch.pipeline.explain.search_bounds import DEFAULT
from isobatch.pipeline.records.wording import counted, sizes
from isobatch.pipeline.user.noted import batches
from isobatch.pipeline.user.results import BatchInvariance, Origin

SEED = 0
LEAK = "neighbour-leak"
LEAKS = (LEAK, "wrong-row")
"""Mechanisms that no shape repairs: where one is, other origins are beside the point."""
_OWN_ROWS = replace(DEFAULT, draws=0, ties=0)
_LOCATED = 8  # examples that the origins are located on, at most, unless more are needed for a difference


@final
@dataclass(frozen=True)
class Start:
    """Where differences start. In words the first comes first, unless the largest lets values of other examples in."""

    first: Origin  # runs first
    largest: Origin  # of the largest difference
    mechanism: str  # of the largest
    count: int  # origins in all

    @property
    def of_quantization(self) -> bool:
        """Whether it is a dynamic quantization, which takes a scale from all rows and can take it from each."""
        return "dynamic" in self.largest.kind.replace("-", "")

    def __str__(self) -> str:
        largest = f"{self.largest}, at {sizes(self.largest.batch_sizes)}: {self.mechanism}"
        if self.count == 1:
            return largest
        if self.first.layer == self.largest.layer:
            return f"{largest}; the first of {self.count} origins"
        if self.mechanism in LEAKS:
            return f"{largest}; {counted(self.count - 1, 'more origin')}, the first of them {self.first}"
        return f"{self.first}, the first of {self.count} origins; the largest difference starts in {largest}"


@dataclass(frozen=True)
class NoStart:
    """No origin is named, and why; false, as a ``Start`` is true."""

    why: str = "no layer replayed alone shows where it starts"
    failed: bool = False  # the search did, not the layers

    def __bool__(self) -> Literal[False]:
        return False


def where_it_starts(runner: Any, rows: NDArray[Any], result: BatchInvariance) -> Start | NoStart:
    """The origins of a difference, or why none is named: what was compared stands where looking for them fails.

    ``result``: what comparing this runner on these rows gave. Layers are replayed at the smallest N that differs and
    at the largest up to eight; on drawn rows and rounding ties only where the network's own rows show nothing.
    """
    differing = [size.batch_size for size in result.differing]
    if not differing or not isinstance(runner, Watched):
        return NoStart()
    largest = max([n for n in differing if n <= _LOCATED], default=differing[0])
    reach = sorted({differing[0], largest})
    batch = _batch(rows, result, reach[-1])
    try:
        return _start(runner, batch, reach, result)
    except Exception as error:  # mostly a library's, of what is no array of rows
        said = str(error).strip().split("\n", 1)[0]
        return NoStart(f"looking into its layers failed ({type(error).__name__}: {said})", failed=True)


def _start(runner: Any, batch: NDArray[Any], reach: list[int], result: BatchInvariance) -> Start | NoStart:
    for search in (_OWN_ROWS, DEFAULT):
        located = locate(runner, batch, reach, SEED, search)
        if origins := located.origins:
            first, largest = next(f for f in located.findings.values() if f.batch_sizes), origins[0]
            alone = replace(located, findings={largest.layer.name: largest})
            explained = explain_origins(runner, alone, batch, result.tested.threads, SEED)[largest.layer.name]
            return Start(_origin(first), _origin(largest), explained.mechanism, len(origins))
    return NoStart()


def _batch(rows: NDArray[Any], result: BatchInvariance, n: int) -> NDArray[Any]:
    """A batch of n in surroundings that showed a difference, the examples among one another first."""
    seen = {what for size in result.batch_sizes for what in size.seen}
    values: NDArray[Any] = next(batch for what, _, batch in batches(rows, n, 2) if what in seen)
    return values


def _origin(finding: LayerFinding) -> Origin:
    return Origin(layer=finding.layer.name, kind=finding.layer.kind, batch_sizes=tuple(finding.batch_sizes))


MECHANISMS = (*LEAKS, "dynamic-scale")
REMEDY = (
    "let it compute from each example alone (batch norms on their running statistics; means, sums and scales over the "
    "other axes only)"
)


def mechanism_of(mixing: bool, start: Start | NoStart) -> str:
    """Why rows depend on the batch: as named at the largest origin, unless that does not account for the mixing."""
    if not mixing:
        return start.mechanism if start else ""
    return start.mechanism if start and start.mechanism in MECHANISMS else LEAK


def shapes_may_repair(mixing: bool, start: Start | NoStart) -> bool:
    """Whether a repair is worth trying: not of a network that mixes examples, unless by a dynamic quantization."""
    return not mixing or bool(start and start.of_quantization)

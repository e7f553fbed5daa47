"""No compiled graph of its own for a single image: the code that runs batches runs it too."""

from collections.abc import Iterator
from operator import methodcaller

from isobatch.models.spec.change import Change
from isobatch.models.spec.runner import WHOLE, Canonical, Compiling, Rewritable
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung, needs


def apply(bench: Bench) -> Iterator[Candidate]:
    """Code in which the number of images is unknown; then a single image padded to the two that batches begin with."""
    build = methodcaller("with_one_graph")
    yield Candidate(build, "one graph for any number of images, one included", change=Change(one_graph=True))
    if isinstance(bench.runner, Rewritable):
        most = max(bench.batch_sizes)
        rule = Canonical(size=most, up_to=most, least=2)
        how = "a single image runs beside a copy of itself, in the graph of batches"
        build = methodcaller("with_canonical", {WHOLE: rule})
        yield Candidate(build, how, change=Change({WHOLE: rule}))


RUNG = Rung(
    order=18,
    question="Is the network batch-invariant if a single image runs in the compiled graph of batches?",
    applies_to=needs(Compiling, "it has no graph of its own for a single image"),
    apply=apply,
)

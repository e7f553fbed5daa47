"""The rungs that change activation scales: one way each, that of the runner."""

from collections.abc import Iterator
from operator import methodcaller

from isobatch.models.spec.change import Change
from isobatch.models.spec.repairable import Rescalable, Scales
from isobatch.pipeline.repair.rungs import Bench, Candidate, Rung, needs


def scale_rung(order: float, kind: Scales, how: str, question: str) -> Rung:
    """The rung of one kind of scales; ``how``: in words."""

    def apply(bench: Bench) -> Iterator[Candidate]:
        """The one way."""
        build = methodcaller("with_scales", kind, bench.images)
        yield Candidate(build, how, change=Change(scales=kind, examples=len(bench.images)))

    return Rung(order, question, needs(Rescalable, "it has no activation scales"), apply)

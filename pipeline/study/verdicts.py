"""The verdict of each variant as soon as its evidence is complete."""

from collections.abc import Mapping
from functools import partial

from isobatch.pipeline.evidence.evidence import Evidence
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.records.study import VariantResult
from isobatch.pipeline.study.assess import compared
from isobatch.pipeline.study.isolated import for_each
from isobatch.pipeline.study.measure import Rounds


class Verdicts:
    """The records of the variants as far as their outputs tell, each shown by the progress display when it comes."""

    def __init__(self, stages: Stages, references: Mapping[str, Evidence]) -> None:
        self._stages, self._references = stages, references
        self._known: dict[str, VariantResult] = {}

    def add(self, variant: str, rounds: Rounds) -> None:
        """Compare the outputs of one variant. ``rounds``: its evidence, none where it has failed."""
        look = partial(compared, self._stages, rounds, self._references)
        (judged,) = for_each(self._stages, [variant], "comparing its outputs", look, look)  # a failure has no outputs
        self._known[variant] = judged
        if judged.role == "candidate":
            self._stages.progress.verdict(judged)

    def of_all(self) -> list[VariantResult]:
        """The records in the order in which the variants were asked for, those without any evidence among them."""
        for name in self._stages.config.variants:
            if name not in self._known:
                self.add(name, {})
        return [self._known[name] for name in self._stages.config.variants]

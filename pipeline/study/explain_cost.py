"""What explaining and repairing a variant costs, and the sets that its repair is verified on."""

from isobatch.models.registry import find_variant
from isobatch.pipeline.evidence.by_value import first_round
from isobatch.pipeline.inputs import PreparedSet
from isobatch.pipeline.prepare.pace import cost
from isobatch.pipeline.prepare.state import Stages

# roughly what explaining and repairing one variant costs, for the estimate of the time left
_ONCE_S = 8.0  # opening, scripts, and what is computed beside the network
_LOOKED = 110  # images through the network to find origins and what they depend on
_PRICED = 150  # to price a repair that may win


def explaining_cost(stages: Stages, variant: str, prepared: PreparedSet, *, hopeless: bool) -> float:
    """Rough seconds of explaining one variant, and of repairing it; ``hopeless``: only the proof is tried."""
    spec, side = find_variant(variant), prepared.evaluation.side
    seconds = _ONCE_S + cost(spec, _LOOKED, side)
    if not stages.config.repair:
        return seconds
    for image_set in (prepared, *served(stages, variant, prepared)):
        passes = first_round(len(image_set.evaluation), stages.config.batch_sizes)
        proof = len(image_set.evaluation) + sum(p.stop - p.start for p in passes)
        seconds += cost(spec, proof, image_set.evaluation.side)
    return seconds + (0.0 if hopeless else cost(spec, _PRICED, side))


def served(stages: Stages, variant: str, prepared: PreparedSet) -> list[PreparedSet]:
    """The other input sets that run the very same artifact."""
    key = stages.artifacts[variant, prepared.record.name].key
    others = [other for other in stages.sets if other is not prepared]
    return [
        s
        for s in others
        if (variant, s.record.name) in stages.artifacts and stages.artifacts[variant, s.record.name].key == key
    ]

"""What a worker is told so that it opens a variant, or a repaired self made again, as it is shipped."""

from collections.abc import Sequence

from isobatch.models.registry import find_variant
from isobatch.models.spec.change import Remade
from isobatch.pipeline.decide.repaired_variants import SWITCH, native_name
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.race.crossing import Opening
from isobatch.pipeline.records.study import Delivery, VariantResult


def opening(
    stages: Stages, variants: Sequence[VariantResult], variant: VariantResult, most: int
) -> tuple[dict[str, str], Opening]:
    """The environment of its worker, and what it opens, for one that was timed. ``most``: the largest N it is given."""
    assert variant.cost is not None
    name, inputs = native_name(variant.name), variant.cost.inputs
    point = stages.base_of(find_variant(name))
    sets = {prepared.record.name: prepared.evaluation for prepared in stages.sets}
    delivery = delivery_of(variants, variant.name)
    asked = Opening(
        variant=name,
        settings=point.runner,
        artifact=stages.artifacts[name, inputs],
        images=sets[inputs],
        examples=sets[delivery.inputs if delivery else inputs],
        delivery=Remade(delivery.change, delivery.serving) if delivery else None,
        outcome=stages.outcome,
        most=most,
    )
    return point.environment, asked


def delivery_of(variants: Sequence[VariantResult], name: str) -> Delivery | None:
    """How a repaired self is made; None for a native."""
    for variant in variants:
        for repair in variant.repairs or ():
            if f"{variant.name}+{repair.name}" == name and repair.name != SWITCH:
                return repair.delivery
    return None

"""What was found out inside one variant, as fields of its record."""

from collections.abc import Sequence
from typing import Any

from isobatch.pipeline.config.config import Explain
from isobatch.pipeline.explain.reproducer.write import Reproducer
from isobatch.pipeline.records.study import Condition, Locating, Origin
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.records import PROOF, AgreementOf, repair_records
from isobatch.pipeline.study.inside.crossing import LayerSeen, Looked


def records(
    looked: Looked,
    inputs: str,
    condition: Condition,
    search: Explain,
    objective: str = "throughput",
    hopeless: str | None = None,
    agreement: AgreementOf = lambda verified: None,
) -> dict[str, Any]:
    """What a worker found out about a variant on one input set, as fields of VariantResult.

    ``objective``: what its repairs were to cost least of; ``hopeless``: why they were not timed, if so; ``agreement``:
    as of ``repair_records``.
    """
    origins = [layer for layer in looked.findings if layer.batch_sizes]
    tried, scripts = looked.tried, looked.reproducers or {}
    return {
        "origins": [_origin(layer, condition, scripts.get(layer.layer)) for layer in origins],
        "origins_complete": None if tried is None else list_is_complete({layer.layer for layer in origins}, tried),
        "locating": _locating(looked, inputs, condition, search),
        "growth": list(looked.growth),
        "neighbour_effect": looked.neighbour_effect,
        "repairs": None
        if tried is None
        else [
            repair.model_copy(update={"unpriced": hopeless}) if repair.delivery else repair
            for repair in repair_records(tried, objective, agreement=agreement)
        ],
    }


def list_is_complete(origins: set[str], tried: Sequence[Attempt]) -> bool | None:
    """Whether these are all, by the repair of exactly them; None where that was not tried to its end."""
    if not origins:
        return False  # no layer differs alone, and yet the outputs do
    proofs = [attempt for attempt in tried if attempt.name == PROOF]
    if any(attempt.holds and set(attempt.layers) == origins for attempt in proofs):
        return True
    undecided = any(attempt.out_of_time for attempt in proofs) or all(attempt.holds is None for attempt in proofs)
    return None if undecided else False


def _origin(seen: LayerSeen, condition: Condition, script: Reproducer | None) -> Origin:
    differing = sum(seen.differing.values())
    return Origin(
        layer=seen.layer,
        kind=seen.kind,
        signature=seen.signature,
        condition=condition,
        batch_sizes=list(seen.batch_sizes),
        elements_differing=differing,
        elements_tried=seen.tried,
        share=differing / seen.tried if seen.tried else 0.0,
        max_abs=seen.max_abs,
        max_abs_relative=seen.max_abs_relative,
        max_ulp=seen.max_ulp,
        found_by=seen.found_by,
        classes=[list(classes) for classes in seen.classes],
        **(vars(seen.explained) if seen.explained else {}),
        reproducer=script.path if script else None,
        reproducer_note=(script.note or None) if script else None,
    )


def _locating(looked: Looked, inputs: str, condition: Condition, search: Explain) -> Locating:
    layers = looked.findings
    by_signature: dict[str, int] = {}  # one kernel, one shape: what was tried of siblings was tried of it
    for layer in layers:
        if layer.replayable:
            by_signature[layer.signature] = by_signature.get(layer.signature, 0) + layer.tried
    # an origin is found already: what might have escaped is a difference in the others
    named = {layer.signature for layer in layers if layer.batch_sizes}
    least = min((tried for signature, tried in by_signature.items() if signature not in named), default=0)
    least = least or min(by_signature.values(), default=0)
    guilty = {layer.kind for layer in layers if layer.batch_sizes}
    return Locating(
        inputs=inputs,
        search="full" if search == "full" else "default",
        batch_sizes=list(looked.batch_sizes),
        layers=len(layers),
        layers_not_replayable=[layer.layer for layer in layers if not layer.replayable],
        trials=sum(layer.tried for layer in layers),
        smallest_rate=3 / least if least else 1.0,
        instrumented_bitwise_equal=looked.instrumented_equal,
        innocent_kinds=sorted({layer.kind for layer in layers if layer.replayable} - guilty),
        condition=condition,
    )

"""What was found out inside one variant, as fields of its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isobatch.pipeline.config.config import Explain
from isobatch.pipeline.records.study import BeyondLook, Condition, Growth, Locating, NeighbourEffect, Origin
from isobatch.pipeline.repair.records import PROOF, repair_records


@dataclass(frozen=True)
class LookedInto:
    """What one worker found out about one variant on one input set."""

    inputs: str
    condition: Condition
    found: dict[str, Any]
    search: Explain


def records(explained: LookedInto) -> dict[str, Any]:
    """What was found, as fields of VariantResult."""
    found = explained.found
    origins = [one for one in found["findings"] if one["batch_sizes"]]
    tried = found["tried"]  # None: the study was asked not to repair
    return {
        "origins": [_origin(one, explained.condition, found["reproducers"].get(one["layer"])) for one in origins],
        "origins_complete": None if tried is None else list_is_complete({one["layer"] for one in origins}, tried),
        "locating": _locating(explained),
        "growth": [Growth(**one) for one in found["growth"]],
        "neighbour_effect": NeighbourEffect(**found["neighbour_effect"]) if found["neighbour_effect"] else None,
        "repairs": None if tried is None else repair_records(tried),
    }


def list_is_complete(origins: set[str], tried: list[dict[str, Any]]) -> bool | None:
    """Whether these are all, by the repair of exactly them; None where that was not tried to its end."""
    if not origins:
        return False  # no layer differs alone, and yet the outputs do
    proofs = [one for one in tried if one["name"] == PROOF]
    if any(one["holds"] and set(one["layers"]) == origins for one in proofs):
        return True
    undecided = any(one.get("out_of_time") for one in proofs) or all(one["holds"] is None for one in proofs)
    return None if undecided else False


def _origin(one: dict[str, Any], condition: Condition, script: dict[str, Any] | None) -> Origin:
    differing = sum(one["differing"].values())
    return Origin(
        layer=one["layer"],
        kind=one["kind"],
        signature=one["signature"],
        condition=condition,
        batch_sizes=one["batch_sizes"],
        elements_differing=differing,
        elements_tried=one["tried"],
        share=differing / one["tried"] if one["tried"] else 0.0,
        max_abs=one["max_abs"],
        max_abs_relative=one.get("max_abs_relative"),
        max_ulp=one["max_ulp"],
        found_by=one["found_by"],
        classes=one["classes"],
        **one["explained"],
        reproducer=script["path"] if script else None,
        reproducer_note=(script["note"] or None) if script else None,
    )


def _locating(explained: LookedInto) -> Locating:
    findings = explained.found["findings"]
    trials = sum(one["tried"] for one in findings)
    by_signature: dict[str, int] = {}  # one kernel, one shape: what was tried of siblings was tried of it
    for one in findings:
        if one["replayable"]:
            by_signature[one["signature"]] = by_signature.get(one["signature"], 0) + one["tried"]
    # an origin is found already: what might have escaped is a difference in the others
    named = {one["signature"] for one in findings if one["batch_sizes"]}
    least = min((tried for signature, tried in by_signature.items() if signature not in named), default=0)
    least = least or min(by_signature.values(), default=0)
    guilty = {one["kind"] for one in findings if one["batch_sizes"]}
    return Locating(
        inputs=explained.inputs,
        search="full" if explained.search == "full" else "default",
        batch_sizes=explained.found["batch_sizes"],
        layers=len(findings),
        layers_not_replayable=[one["layer"] for one in findings if not one["replayable"]],
        trials=trials,
        smallest_rate=3 / least if least else 1.0,
        instrumented_bitwise_equal=explained.found["instrumented_equal"],
        innocent_kinds=sorted({one["kind"] for one in findings if one["replayable"]} - guilty),
        condition=explained.condition,
        beyond=[BeyondLook(**one) for one in explained.found.get("beyond", [])],
    )

"""A repaired network built again from its recipe, so that it can be raced as itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.pipeline.repair.rungs.recheck import Rechecked


def rebuilt(recipe: Mapping[str, Any], runner: Any, examples: Images) -> Runner:
    """The repaired runner of ``Repair.recipe``, from the live native one, within whose block it is used.

    ``examples``: the set on which the repair was found. Raises KeyError for a recipe of another version.
    """
    found: Runner
    match recipe["how"]:
        case "canonical":
            rules = {layer: Canonical(*rule) for layer, rule in recipe["rules"].items()}
            if set(rules) != {WHOLE}:
                runner.watch(examples.read(0, 1), lambda layer, inputs, outputs: None)  # it has not seen its layers yet
            found = runner.with_canonical(rules)
        case "threads":
            found = runner.with_threads(1, recipe["streams"])
        case "scales":
            found = runner.with_scales(recipe["kind"], examples.read(0, recipe["examples"]))
        case "recheck":
            found = Rechecked(runner, recipe["margin"])
        case how:
            raise KeyError(f"no repair is built by {how!r}")
    return found

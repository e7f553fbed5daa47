"""A repaired network made again from its delivery, so that it can be raced as itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isobatch.models.spec.images import Images
from isobatch.models.spec.outcome import CLASSES, Outcome
from isobatch.models.spec.runner import Runner
from isobatch.pipeline.deploy.in_worker import changed
from isobatch.pipeline.repair.rungs.recheck import Rechecked


def rebuilt(delivery: Mapping[str, Any], runner: Any, examples: Images, outcome: Outcome = CLASSES) -> Runner:
    """The repaired runner of a ``Repair.delivery``, from the live native one, within whose block it is used.

    ``examples``: the set on which the repair was found. ``outcome``: what it keeps, where it keeps no bytes.
    """
    change, serving = delivery["change"], delivery["serving"]
    if (margin := change.get("recheck")) is not None:
        return Rechecked(runner, margin, outcome)
    if "threads" in serving:
        threaded: Runner = runner.with_threads(serving["threads"], serving.get("streams", 1))
        return threaded
    return changed(runner, change, examples.read(0, max(1, change.get("examples", 1))))

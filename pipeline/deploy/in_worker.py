"""What runs inside a worker for ``deploy``: the measured artifact opened, repaired as it was, and written as files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.images import Images
from isobatch.models.spec.repairable import Deployable, Digested
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.models.spec.words import RunnerSettings, VariantUnavailable
from isobatch.pipeline.workers.opening import open_runner
from isobatch.pipeline.workers.wire import Emit, read_artifact


def write(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Write a variant, or its repaired self, into ``payload["folder"]``.

    ``payload["delivery"]``: None, or a ``Delivery`` as JSON. Returns {"serving": what has to be set, "sha256": of a
    rewritten graph or None}. Raises VariantUnavailable where it cannot be written.
    """
    artifact = read_artifact(payload["artifact"])
    images = Images.from_json(payload["images"])
    delivery = payload["delivery"] or {"change": {}}
    count = max(1, delivery["change"].get("examples", 1))
    settings = RunnerSettings.of(payload["settings"])
    with open_runner(payload["variant"], artifact, settings, count * images.values) as runner:
        examples = images.read(0, count)
        repaired = changed(runner, delivery["change"], examples)
        with contextlib.nullcontext() if repaired is runner else repaired:
            if not isinstance(repaired, Deployable):
                raise VariantUnavailable(
                    f"no loader is written for {payload['variant']}: deploy ships torch's and onnxruntime's variants",
                    "name one of them with --variant",
                )
            serving = repaired.write(Path(payload["folder"]), examples[:1])
            digest = repaired.digest() if isinstance(repaired, Digested) else None
    return {"serving": serving, "sha256": digest}


def changed(runner: Any, change: dict[str, Any], examples: NDArray[np.float32]) -> Runner:
    """The runner with a change of ``rungs.Candidate`` made again; the runner itself where there is none."""
    if rules := change.get("canonical"):
        if set(rules) != {WHOLE}:
            runner.watch(examples[:1], lambda layer, inputs, outputs: None)  # finds the layers
        found: Runner = runner.with_canonical({name: Canonical(**rule) for name, rule in rules.items()})
        return found
    if kind := change.get("scales"):
        rescaled: Runner = runner.with_scales(kind, examples)
        return rescaled
    if options := change.get("switches"):
        turned: Runner = runner.with_switches(options)
        return turned
    if change.get("one_graph"):
        one: Runner = runner.with_one_graph()
        return one
    same: Runner = runner
    return same

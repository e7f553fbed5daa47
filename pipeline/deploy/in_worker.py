"""What runs inside a worker for ``deploy``: the measured artifact opened, repaired as it was, and written as files."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.repairable import Deployable, Digested
from isobatch.models.spec.runner import WHOLE, Canonical, Runner
from isobatch.models.spec.words import VariantUnavailable
from isobatch.pipeline.deploy.crossing import DeploymentWritten, WriteAsked
from isobatch.pipeline.workers.opening import open_runner
from isobatch.pipeline.workers.wire import Emit


def write(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Write what is in ``WriteAsked``: ``DeploymentWritten``. Raises VariantUnavailable where it cannot be written."""
    asked = WriteAsked.of(payload)
    count = max(1, asked.change.get("examples", 1))
    with open_runner(asked.variant, asked.artifact, asked.settings, count * asked.images.values) as runner:
        examples = asked.images.read(0, count)
        repaired = changed(runner, asked.change, examples)
        with contextlib.nullcontext() if repaired is runner else repaired:
            if not isinstance(repaired, Deployable):
                raise VariantUnavailable(
                    f"no loader is written for {asked.variant}: deploy ships torch's and onnxruntime's variants",
                    "name one of them with --variant",
                )
            serving = repaired.write(Path(asked.folder))
            digest = repaired.digest() if isinstance(repaired, Digested) else None
    return DeploymentWritten(serving, digest).to_json()


def changed(runner: Any, change: Mapping[str, Any], examples: NDArray[np.float32]) -> Runner:
    """The runner with a change of ``rungs.Candidate`` made again; the runner itself where there is none."""
    made: Runner = runner
    if rules := change.get("canonical"):
        if set(rules) != {WHOLE}:
            runner.watch(examples[:1], lambda layer, inputs, outputs: None)  # finds the layers
        made = runner.with_canonical({name: Canonical(**rule) for name, rule in rules.items()})
    elif kind := change.get("scales"):
        made = runner.with_scales(kind, examples)
    elif options := change.get("switches"):
        made = runner.with_switches(options)
    elif change.get("one_graph"):
        made = runner.with_one_graph()
    return made

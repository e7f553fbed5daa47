"""What runs inside a worker for ``deploy``: the measured artifact opened, repaired as it was, and written as files."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isobatch.models.spec.change import Change
from isobatch.models.spec.repairable import Deployable, Digested
from isobatch.models.spec.runner import WHOLE, Runner
from isobatch.models.spec.words import VariantUnavailable
from isobatch.pipeline.deploy.crossing import DeploymentWritten, WriteAsked
from isobatch.pipeline.processes.opening import open_runner
from isobatch.pipeline.processes.wire import Emit


def write(payload: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Write what is in ``WriteAsked``: ``DeploymentWritten``. Raises VariantUnavailable where it cannot be written."""
    asked = WriteAsked.of(payload)
    count = asked.change.examples
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


def changed(runner: Any, change: Change, examples: NDArray[np.float32]) -> Runner:
    """The runner with this change made again; the runner itself where there is none."""
    made: Runner = runner
    if rules := change.canonical:
        if set(rules) != {WHOLE}:
            runner.watch(examples[:1], lambda layer, inputs, outputs: None)  # finds the layers
        made = runner.with_canonical(rules)
    elif change.scales:
        made = runner.with_scales(change.scales, examples)
    elif change.switches:
        made = runner.with_switches(change.switches)
    elif change.one_graph:
        made = runner.with_one_graph()
    return made

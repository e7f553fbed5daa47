"""What the building of artifacts remembers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isobatch.models.spec.words import Network
from isobatch.pipeline.config.config import Config
from isobatch.pipeline.prepare.artifacts import build_artifacts
from isobatch.pipeline.prepare.state import Stages
from isobatch.pipeline.processes.pool import WorkerError


@pytest.mark.parametrize(("kind", "tried"), [("ExportError", 1), ("timeout", 1), ("crash", 1), ("ValueError", 2)])
def test_an_export_that_failed_is_not_tried_for_the_next_variant(tmp_path: Path, kind: str, tried: int) -> None:
    asked: list[str] = []

    def call(function: str, payload: dict[str, Any], label: str) -> Any:
        asked.append(label)
        raise WorkerError("no graph", kind)

    silent: Any = SimpleNamespace(step=lambda *_: None, line=lambda *_: None)
    nothing: Any = None
    prepared: Any = SimpleNamespace(calibration=None, record=SimpleNamespace(name="seed"))
    stages = Stages(Config(("ort-fp32", "ort-fp16")), nothing, tmp_path, nothing, silent, nothing, sets=(prepared,))
    stages.network = Network("resnet18", "", "0" * 64, 10)
    stages.call = call  # type: ignore[method-assign]
    build_artifacts(stages)
    assert [name for name in asked if name.startswith("ort-")] == ["ort-fp32", "ort-fp16"][:tried]
    assert {name: failure.reason for name, failure in stages.failures.items()} == dict.fromkeys(
        ("ort-fp32", "ort-fp16", "fp32", "fp64"), "no graph"
    )
    assert [warning.text for warning in stages.warnings] == [
        "fp32 could not be built, so nothing is measured against it: no graph"
    ]

"""What a study says of a variant while it goes on."""

from types import SimpleNamespace
from typing import Any

import pytest

from isobatch.pipeline.config.config import Config
from isobatch.pipeline.study.as_record import _portable
from isobatch.pipeline.study.assess import Verdicts
from tests.pipeline.results import result
from tests.reports import studies


@pytest.mark.parametrize(("shape", "said"), [([3, 8, 8], "All bytes of 4 images"), ([12], "All bytes of 4 inputs")])
def test_a_verdict_is_told_in_words_that_fit_the_examples(
    shape: list[int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, told = result("fp32", "batch-invariant"), list[Any]()
    assert judged.decided_by is not None
    why = judged.decided_by.model_copy(update={"why": "All bytes of 4 images are those of their singles."})
    judged = judged.model_copy(update={"decided_by": why})
    monkeypatch.setattr("isobatch.pipeline.study.assess.compared_apart", lambda *_: judged)
    record = studies.INPUTS[0].model_copy(update={"shape": shape})
    stages: Any = SimpleNamespace(sets=[SimpleNamespace(record=record)], progress=SimpleNamespace(verdict=told.append))
    Verdicts(stages, {}).add("fp32", {})
    assert told[0].decided_by.why.startswith(said)


def test_no_path_of_this_machine_is_in_a_report() -> None:
    files = {name: f"/home/me/{name}.file" for name in ("onnx", "weights", "inputs", "classes", "labels")}
    shown = _portable(Config(("fp32",), **files))
    assert {name: shown[name] for name in files} == {name: f"{name}.file" for name in files}

"""A fault planted in the real network: found in its layer of 175, nowhere else, and named."""

from __future__ import annotations

import pytest

from models.planted import RESNET50, find_fault
from pipeline.selftest.judge import judged
from pipeline.selftest.trial import examine


@pytest.mark.resnet50
def test_a_fault_in_resnet50_is_found_in_its_layer_and_named() -> None:
    fault = find_fault("resnet50-one-ulp")
    assert fault.network == RESNET50
    found = examine({"fault": fault.name, "threads": 2, "seed": 42069}, lambda event: None)
    assert found["layers"] > 150 and found["found_by"] == "captured"
    outcome = judged(fault, found, {fault.mechanism})
    assert outcome.state == "found", outcome.why

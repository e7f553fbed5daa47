"""Control flow that looks at the batch; real networks of that kind are in tests/pipeline/test_mixing_networks.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isobatch.models.spec.runner import Rows
from isobatch.pipeline.explain.causes import Subject, different_branch
from tests.pipeline.explain.causes.kernels import Runner, examined, last_bit


class Followed(Runner):
    """Goes another way from this many rows on."""

    def __init__(self, turns_at: int) -> None:
        super().__init__(last_bit)
        self.turns_at = turns_at

    def other_calls(self, layer: str, inputs: Rows) -> str:
        return "where one image has the call a, 3 have the call b" if len(inputs[0]) >= self.turns_at else ""


def subject(turns_at: int) -> Subject:
    return replace(examined(last_bit, batch=4), runner=Followed(turns_at))


@pytest.mark.parametrize("turns_at", [2, 3, 4])
def test_it_is_named_with_the_first_n_of_the_other_branch(turns_at: int) -> None:
    finding = different_branch.probe(subject(turns_at))
    assert finding.verdict == "supported"
    assert finding.evidence == f"From N = {turns_at} on: where one image has the call a, 3 have the call b."


def test_the_same_calls_refute_it() -> None:
    assert different_branch.probe(subject(5)).verdict == "refuted"


def test_it_needs_a_runner_that_follows_control_flow() -> None:
    assert different_branch.CAUSE.applies_to(subject(2))
    assert not different_branch.CAUSE.applies_to(examined(last_bit))

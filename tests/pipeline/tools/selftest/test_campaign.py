"""The campaign in real workers: one that fails leaves its fault unchecked, and the others go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isobatch.models.planted import find_fault
from isobatch.pipeline.processes.pool import Workers
from isobatch.pipeline.tools.selftest import campaign
from isobatch.pipeline.tools.selftest.campaign import run_selftest
from tests.in_process import lending


class Told:
    def __init__(self) -> None:
        self.planned = self.done = 0.0
        self.labels: list[str] = []

    def plan(self, total_cost: float) -> None:
        self.planned = total_cost

    def step(self, label: str, cost_done: float) -> None:
        self.labels.append(label)
        self.done += cost_done

    def line(self, text: str) -> None:
        self.labels.append(text)


def test_a_fault_that_cannot_be_planted_is_not_checked_and_the_next_is_found(
    launchers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "Workers", lending(launchers))
    fault, told = find_fault("swapped-rows"), Told()
    self_test = run_selftest([replace(fault, name="no-such-fault"), fault], trials=2, seed=3, progress=told)
    lost, good = self_test.outcomes
    assert (lost.state, lost.examined) == ("not checked", None)
    assert "unknown fault 'no-such-fault'" in lost.why
    assert good.state == "found"
    assert self_test.innocence is not None and self_test.innocence.trials == 2 and not self_test.innocence.accused
    assert abs(told.done - told.planned) < 1e-9
    assert "looking for swapped-rows in pool" in told.labels

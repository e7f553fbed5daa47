"""What the self-test makes of findings: pure functions, and the trial that produces them."""

from __future__ import annotations

from typing import Any

import pytest

from isobatch.models.planted import FAULTS, RESNET50, Fault, find_fault
from isobatch.pipeline.explain.causes import all_causes
from isobatch.pipeline.records.errors import Exit
from isobatch.pipeline.tools.selftest.campaign import THREADS
from isobatch.pipeline.tools.selftest.crossing import Accused, Examined, FaultAsked, Innocence, InnocentsAsked
from isobatch.pipeline.tools.selftest.in_worker import examine, innocents
from isobatch.pipeline.tools.selftest.judge import FaultOutcome, SelfTest, exit_code, judged

BUILT = {"wrong-row", "rounding-order", "thread-partition"}


def found(named: list[str], mechanism: str = "unexplained", *triggers: str) -> Examined:
    explained = {"mechanism": mechanism, "triggers": list(triggers), "causes": []}
    return Examined(tuple(named), explained)


def outcome(name: str, *given: Any) -> FaultOutcome:
    return judged(find_fault(name), found(*given), BUILT)


@pytest.mark.parametrize(
    "name, given, state, why",
    [
        ("swapped-rows", (["pool"], "wrong-row"), "found", ""),
        ("swapped-rows", ([],), "missed", "no difference was found in pool"),
        ("swapped-rows", (["pool", "fc"], "wrong-row"), "missed", "fc was named as well, and depends on nothing"),
        ("swapped-rows", (["fc"], "wrong-row"), "missed", "no difference was found in pool"),
        ("swapped-rows", (["pool"], "rounding-order"), "missed", "wrong-row was expected, and rounding-order named"),
        ("threads", (["hidden"], "rounding-order", "thread-partition"), "found", ""),
        (
            "threads",
            (["hidden"], "rounding-order"),
            "missed",
            "thread-partition was expected, and rounding-order named",
        ),
        ("cast", (["hidden"], "unexplained"), "not checked", "no cause named cast is built in"),
    ],
)
def test_a_fault_is_found_in_its_layer_only_and_by_its_name(name: str, given: Any, state: str, why: str) -> None:
    judged = outcome(name, *given)
    assert (judged.state, judged.why) == (state, why)


def test_the_exit_code_says_what_was_not_found_before_what_was_not_checked() -> None:
    good, missed = outcome("swapped-rows", ["pool"], "wrong-row"), outcome("swapped-rows", [])
    unchecked = outcome("cast", ["hidden"])
    clean = Innocence(200, (), 9, 100)
    accused = Innocence(200, (Accused(1, ("fc",)),), 9, 100)

    def code(*outcomes: FaultOutcome, innocence: Innocence | None = clean, failed: str | None = None) -> Exit:
        return exit_code(SelfTest(outcomes, innocence, failed, 2, 0))

    assert code(good) == Exit.DONE
    assert code(good, unchecked) == code(good, innocence=None, failed="it crashed") == Exit.PARTIAL
    assert code(good, unchecked, missed) == code(good, innocence=accused) == Exit.NOT_MET


def test_200_trials_without_an_accusation_bound_the_rate_below_one_and_a_half_percent() -> None:
    assert 0.014 < Innocence(200, (), 9, 100).upper95 < 0.015


def _cases() -> list[Any]:
    """Every fault of a small network, and one of ResNet50."""
    small = [pytest.param(fault, id=fault.name) for fault in FAULTS if fault.network != RESNET50]
    real = find_fault("resnet50-one-ulp")
    return [*small, pytest.param(real, id=real.name, marks=pytest.mark.resnet50)]


@pytest.mark.parametrize("fault", _cases())
def test_every_fault_is_found_and_named_for_real(fault: Fault) -> None:
    said = Examined.of(examine(FaultAsked(fault.name, THREADS, 5).to_json(), lambda event: None))
    built = {cause.name for cause in all_causes()}
    known = {fault.mechanism, fault.trigger} - {None} <= built
    outcome = judged(fault, said, built)
    assert outcome.state == ("found" if known else "not checked"), (outcome.why, said)
    assert said.named == (fault.layer,) and said.tried > 0


def test_innocent_networks_are_not_accused() -> None:
    events: list[Any] = []
    said = Innocence.of(innocents(InnocentsAsked(3, 1, 0).to_json(), events.append))
    assert said.accused == () and said.layers >= 3 * 9
    assert events == [{"images": 1, "say": ""}] * 3

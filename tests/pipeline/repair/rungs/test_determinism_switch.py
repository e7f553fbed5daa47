"""Switches that have the property, and those that have not, planted in a network that asks whether they are turned."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from isobatch.models.spec.change import Change
from isobatch.models.spec.repairable import Deployable
from isobatch.pipeline.deploy.in_worker import changed
from isobatch.pipeline.explain.findings import Located
from isobatch.pipeline.repair.crossing import Attempt
from isobatch.pipeline.repair.ladder import attempts, climb
from isobatch.pipeline.repair.records import repair_records
from isobatch.pipeline.repair.rungs import Bench
from isobatch.pipeline.repair.verify import Scope
from isobatch.pipeline.user.asked import Examples
from tests.models.pytorch.small_networks import OneUlpWhenBatched, opened, pixels, with_planted

IMAGES = pixels(4)


class UnlessDeterministic(OneUlpWhenBatched):
    """Rows depend on N unless torch is asked for deterministic algorithms."""

    def forward(self, x: Tensor) -> Tensor:
        return x if torch.are_deterministic_algorithms_enabled() else super().forward(x)


def climbed(runner: Any) -> Attempt:
    scope = Scope([Examples("drawn", IMAGES)], (2, 4), {})  # type: ignore[list-item]
    bench = Bench(runner, 1, IMAGES, (2, 4), Located({}, True, []))
    (attempt,) = attempts(climb(bench, scope, math.inf, ["determinism-switch"]))
    return attempt


def test_a_switch_that_has_the_property_is_turned_for_each_call_and_put_back() -> None:
    with opened(with_planted(UnlessDeterministic())) as runner:
        attempt = climbed(runner)
        assert attempt.holds and attempt.how == "torch.use_deterministic_algorithms(True)"
        assert attempt.change == Change(switches={"deterministic_algorithms": True})
        with changed(runner, attempt.change, IMAGES) as again:
            alone = np.concatenate([again.run(image[None]) for image in IMAGES])
            assert again.run(IMAGES).tobytes() == alone.tobytes() != runner.run(IMAGES).tobytes()
            assert isinstance(again, Deployable)
    assert not torch.are_deterministic_algorithms_enabled()


def test_where_none_has_it_all_that_were_turned_are_named() -> None:
    with opened(with_planted(OneUlpWhenBatched())) as runner:
        attempt = climbed(runner)
    assert attempt.holds is None and attempt.failed
    assert "torch.use_deterministic_algorithms(True)" in attempt.why
    (record,) = repair_records([attempt])
    assert record.state == "fails" and record.note == attempt.why


def test_a_library_without_such_switches_is_left_alone() -> None:
    class Plain:
        def run(self, images: np.ndarray) -> np.ndarray:
            return images.reshape(len(images), -1)

    assert climbed(Plain()).why.startswith("no switch of its library")


@pytest.mark.parametrize("switches", [{}, {"mkldnn": False, "matmul_precision": "medium"}])
def test_what_is_shipped_turns_them_too(switches: dict[str, Any]) -> None:
    from isobatch.models.pytorch.switches import read_back, turned
    from isobatch.models.spec.templates.network_torch import turn

    before = read_back()
    with turned(switches) as read:
        expected = read(None)
    with turned({"mkldnn": True, "matmul_precision": "highest"}):  # which puts back what is shipped code's to keep
        turn(switches)
        assert read_back() == expected
    assert read_back() == before
